"""Plots by matplotlib: maps, similarity matrices and training curves.

Importing this module does not need matplotlib; drawing does. It comes with the extras `eval` and
`train`, which the callers check.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mm_milvus.images.decoding import decode
from mm_milvus.render.map_page import Layout
from mm_milvus.render.style import FAINT, INK, LINE, REST, REST_COLOUR, group_colours

CAPTION_COLOUR = "#9aa3b2"
DPI = 120
TILE = 96
MAX_NUMBERED = 24
"""Larger matrices have no room for a number in each cell."""

LABEL_LETTERS = 40
DARK = 0.6
"""White text is more legible than black from this part of the colour range on."""

CURVES_DPI = 150
LOSS_COLOUR = "#222222"
CUT_COLOURS = ("#b3446c", "#3b6fb6", "#4f9d69")


def draw_map(path: Path, layouts: Sequence[Layout], names: Sequence[str], by: str) -> None:
    """Draw one panel per layout: images as dots in the colour of their group, captions as crosses.

    Args:
        path: The PNG file.
        layouts: The positions of images and captions.
        names: The group of each image.
        by: What groups the images: a metadata key, or "k-means".
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    colours = group_colours(names)
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    for axes, layout in zip(figure.subplots(1, len(layouts)), layouts, strict=True):
        axes.scatter(*layout.captions.T, s=9, marker="x", linewidths=0.6, color=CAPTION_COLOUR)
        fill = [colours[name] for name in names]
        axes.scatter(*layout.images.T, s=14, color=fill, linewidths=0.3, edgecolors="white")
        axes.set_title(layout.name, fontsize=10, color=INK, loc="left")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal", adjustable="datalim")
        for spine in axes.spines.values():
            spine.set_color(LINE)
    entries = {name: colour for name, colour in colours.items() if colour != REST_COLOUR}
    if len(entries) < len(colours):
        entries[REST] = REST_COLOUR
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=5, color=colour, label=_short(name))
        for name, colour in entries.items()
    ]
    handles.append(
        Line2D(
            [], [], linestyle="", marker="x", markersize=4, color=CAPTION_COLOUR, label="captions"
        )
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
    """Draw the cosines of captions and images; pairs are on the diagonal.

    Args:
        path: The PNG file.
        matrix: float32 (n, n), one row per caption, one column per image.
        pictures: The n images.
        captions: The n captions.
    """
    from matplotlib.figure import Figure
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    count = len(captions)
    size = max(4.0, 0.52 * count)
    figure = Figure(figsize=(size + 4.2, size + 0.9), layout="constrained")
    axes = figure.subplots()
    cells = axes.imshow(matrix, cmap="Blues", aspect="equal")
    axes.set_yticks(range(count), [_short(caption) for caption in captions], fontsize=9)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for column, picture in enumerate(pictures):
        tile = np.asarray(ImageOps.pad(decode(picture), (TILE, TILE), color="white"))
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
    if count <= MAX_NUMBERED:
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
    bar = figure.colorbar(cells, ax=axes, shrink=0.5, aspect=24, pad=0.02)
    bar.set_label("cosine", fontsize=9, color=FAINT)
    bar.ax.tick_params(labelsize=8, colors=FAINT, length=0)
    bar.outline.set_visible(False)
    figure.savefig(path, dpi=DPI)


def draw_curves(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Draw the loss and the validation recalls of a training over its epochs.

    Args:
        path: The PNG file.
        history: For each epoch, its `epoch`, `loss`, and `text_to_image_recall@k` and
            `image_to_text_recall@k` for three k.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in history]
    left.plot(epochs, [line["loss"] for line in history], color=LOSS_COLOUR)
    left.set(xlabel="epoch", ylabel="training loss")
    for direction, style in (("text_to_image", "-"), ("image_to_text", "--")):
        names = [name for name in history[0] if name.startswith(f"{direction}_recall@")]
        for name, colour in zip(names, CUT_COLOURS, strict=True):
            label = f"{direction.replace('_', '-')} @{name.partition('@')[2]}"
            values = [line[name] for line in history]
            right.plot(epochs, values, style, color=colour, label=label)
    right.set(xlabel="epoch", ylabel="validation recall", ylim=(0, 1.02))
    right.legend(fontsize="x-small", ncols=2, frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.savefig(path, dpi=CURVES_DPI)


def _short(text: str) -> str:
    # A dollar sign would start a formula in matplotlib.
    return textwrap.shorten(text, LABEL_LETTERS, placeholder="…").replace("$", r"\$")
