"""Plots of an inspection, by matplotlib: the map, and the similarity matrix of pairs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mm_milvus.render.map_page import Layout
from mm_milvus.render.palette import REST, REST_COLOUR, colours_of
from mm_milvus.render.paper import on_white

INK, FAINT, LINE, TEXTS_COLOUR = "#16181d", "#5b6270", "#e4e7ec", "#9aa3b2"
DPI = 120
TILE = 96
MOST_NUMBERS = 24
"""Larger matrices have no room for a number a cell."""

LABEL_LETTERS = 40
DARK = 0.6
"""From this share of the colours' range on, white is read better than black."""


def draw_map(path: Path, layouts: Sequence[Layout], names: Sequence[str], by: str) -> None:
    """Draw a panel a layout: images as dots in the colour of their group, captions as crosses."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    colours = colours_of(names)
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    for axes, layout in zip(figure.subplots(1, len(layouts)), layouts, strict=True):
        axes.scatter(*layout.texts.T, s=9, marker="x", linewidths=0.6, color=TEXTS_COLOUR)
        fill = [colours[name] for name in names]
        axes.scatter(*layout.images.T, s=14, color=fill, linewidths=0.3, edgecolors="white")
        axes.set_title(layout.name, fontsize=10, color=INK, loc="left")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal", adjustable="datalim")
        for spine in axes.spines.values():
            spine.set_color(LINE)
    shown = {name: colour for name, colour in colours.items() if colour != REST_COLOUR}
    if len(shown) < len(colours):
        shown[REST] = REST_COLOUR
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=5, color=colour, label=_short(name))
        for name, colour in shown.items()
    ]
    handles.append(
        Line2D([], [], linestyle="", marker="x", markersize=4, color=TEXTS_COLOUR, label="captions")
    )
    legend = figure.legend(
        handles=handles,
        title=f"images by {by}",
        loc="outside right upper",
        frameon=False,
        fontsize=9,
        alignment="left",
    )
    legend.get_title().set_fontsize(9)
    figure.savefig(path, dpi=DPI)


def draw_similarity(
    path: Path,
    matrix: NDArray[np.float32],
    pictures: Sequence[Image.Image],
    captions: Sequence[str],
) -> None:
    """Draw the cosines of captions (rows) and images (columns); pairs lie on the diagonal."""
    from matplotlib.figure import Figure
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    count = len(captions)
    size = max(4.0, 0.52 * count)
    figure = Figure(figsize=(size + 4.2, size + 0.9), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(matrix, cmap="Blues", aspect="equal")
    axes.set_yticks(range(count), [_short(caption) for caption in captions], fontsize=9)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for column, picture in enumerate(pictures):
        tile = np.asarray(ImageOps.pad(on_white(picture), (TILE, TILE), color="white"))
        box = OffsetImage(tile, zoom=0.24 * 120 / TILE)
        at = AnnotationBbox(
            box,
            (column, -0.55),
            box_alignment=(0.5, 0),
            frameon=False,
            pad=0,
            annotation_clip=False,
        )
        axes.add_artist(at)
    if count <= MOST_NUMBERS:
        low, high = float(matrix.min()), float(matrix.max())
        dark = low + DARK * (high - low)
        for (row, column), value in np.ndenumerate(matrix):
            axes.text(
                column,
                row,
                f"{round(float(value), 2) + 0.0:.2f}".replace("0.", ".", 1),
                ha="center",
                va="center",
                fontsize=7,
                color="white" if value > dark else INK,
                fontweight="bold" if row == column else "normal",
            )
    bar = figure.colorbar(shown, ax=axes, shrink=0.5, aspect=24, pad=0.02)
    bar.set_label("cosine", fontsize=9, color=FAINT)
    bar.ax.tick_params(labelsize=8, colors=FAINT, length=0)
    bar.outline.set_visible(False)
    figure.savefig(path, dpi=DPI)


def _short(text: str) -> str:
    # A dollar sign would start a formula.
    return textwrap.shorten(text, LABEL_LETTERS, placeholder="…").replace("$", r"\$")
