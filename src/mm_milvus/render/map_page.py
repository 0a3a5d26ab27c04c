"""A map of embeddings to look around in: one HTML file that needs no network."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mm_milvus.render.map_script import CSS, SCRIPT
from mm_milvus.render.palette import colours_of

SIZE = 1000
"""The map's side, in units of its own."""
BORDER = 24


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to place the points: float32 (n, 2) of the images, (m, 2) of the captions."""

    name: str
    images: NDArray[np.float32]
    texts: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Point:
    """What is shown of a point.

    thumbnail  a `data:` URI; None for a caption, and for an image that is no longer to be had
    """

    title: str
    caption: str
    group: str
    thumbnail: str | None


def write_map(
    path: Path, title: str, by: str, points: Sequence[Point], layouts: Sequence[Layout]
) -> None:
    """Write the page: points coloured by group, their picture and caption under the pointer.

    by       what groups the points
    points   those of the images, then those of the captions, as in each layout

    Raises `OSError` when the file cannot be written.
    """
    path.write_text("".join(_page(title, by, points, layouts)), encoding="utf-8", errors="replace")


def _page(title: str, by: str, points: Sequence[Point], layouts: Sequence[Layout]) -> Iterator[str]:
    images = len(layouts[0].images)
    colours = colours_of([point.group for point in points[:images]])
    counts = Counter(point.group for point in points[:images])
    placed = [_fitted(layout) for layout in layouts]
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n"
        f'<header><h1 dir="auto">{escape(title)}</h1><p>{images:,} images and '
        f"{len(points) - images:,} captions on the two axes along which they vary most (PCA).</p>"
        '</header>\n<main>\n<div class="map">'
        f'<svg viewBox="0 0 {SIZE} {SIZE}" role="img" aria-label="map of the embeddings">\n'
    )
    for number in [*range(images, len(points)), *range(images)]:
        x, y = placed[0][number]
        kind = "image" if number < images else "text"
        yield (
            f'<circle class="{kind}" data-n="{number}" r="{5 if kind == "image" else 3.2}" '
            f'cx="{x}" cy="{y}" style="--c:{colours[points[number].group]}"/>\n'
        )
    yield '</svg><div class="tip" hidden></div></div>\n<aside>\n'
    yield from _controls(by, layouts, colours, counts)
    data = {
        "points": [[p.title, p.caption, p.group, p.thumbnail] for p in points],
        "layouts": [places.tolist() for places in placed],
    }
    # "<" would let a caption end the script.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    yield f'</aside>\n</main>\n<script type="application/json" id="data">{text}</script>\n'
    yield f"<script>\n{SCRIPT}</script>\n</body>\n</html>\n"


def _controls(
    by: str, layouts: Sequence[Layout], colours: dict[str, str], counts: Counter[str]
) -> Iterator[str]:
    yield "<fieldset><legend>Place images and captions</legend>\n"
    for number, layout in enumerate(layouts):
        checked = "" if number else " checked"
        yield (
            f'<label><input type="radio" name="layout" value="{number}"{checked}> '
            f"{escape(layout.name)}</label>\n"
        )
    yield '</fieldset>\n<fieldset><legend>Show</legend>\n<label><input type="checkbox" '
    yield 'name="kind" value="image" checked> images, filled</label>\n<label><input '
    yield 'type="checkbox" name="kind" value="text" checked> captions, rings</label></fieldset>\n'
    yield f"<fieldset><legend>{escape(by)}</legend>\n"
    for name, colour in colours.items():
        yield (
            f'<label dir="auto"><input type="checkbox" name="group" value="{escape(name)}" checked>'
            f'<i style="background:{colour}"></i>{escape(name)} <b>{counts[name]:,}</b></label>\n'
        )
    yield "</fieldset>\n"


def _fitted(layout: Layout) -> NDArray[np.float64]:
    """The places in the map's units, (n + m, 2), one scale for both axes."""
    every = np.concatenate([layout.images, layout.texts]).astype(np.float64)
    low, high = every.min(axis=0), every.max(axis=0)
    extent = float((high - low).max()) or 1.0
    scaled = (every - (low + high) / 2) / extent * (SIZE - 2 * BORDER)
    # A screen's second axis points down.
    return np.asarray(np.round(SIZE / 2 + scaled * (1, -1), 1))
