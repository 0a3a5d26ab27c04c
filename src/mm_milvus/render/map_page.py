"""An interactive map of embeddings: one HTML file without network access."""

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
from mm_milvus.render.style import group_colours

SIZE = 1000
"""Side of the map, in units of its drawing."""

BORDER = 24
"""Empty border inside the map, in the same units."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Positions of all points.

    Attributes:
        name: The name that is shown for the layout.
        images: float32 (n, 2), one row per image.
        captions: float32 (m, 2), one row per caption.
    """

    name: str
    images: NDArray[np.float32]
    captions: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Point:
    """What the page shows about an image or a caption.

    Attributes:
        title: The item id, or for a caption those of the items that have it.
        caption: The caption, or the captions of an image.
        group: The name of the group, which has a colour.
        thumbnail: A `data:` URI; None for a caption, and for an image that cannot be read.
    """

    title: str
    caption: str
    group: str
    thumbnail: str | None


def write_map(
    path: Path, title: str, by: str, points: Sequence[Point], layouts: Sequence[Layout]
) -> None:
    """Write a page of points coloured by group, with picture and caption under the pointer.

    Args:
        path: The file, which is replaced if it exists.
        title: The heading of the page.
        by: What groups the points: a metadata key, or "k-means".
        points: The images, then the captions, in the order of the layouts.
        layouts: One or more positions of all points, to choose from.

    Raises:
        OSError: When the file cannot be written.
    """
    path.write_text("".join(_page(title, by, points, layouts)), encoding="utf-8", errors="replace")


def _page(title: str, by: str, points: Sequence[Point], layouts: Sequence[Layout]) -> Iterator[str]:
    images = len(layouts[0].images)
    colours = group_colours([point.group for point in points[:images]])
    counts = Counter(point.group for point in points[:images])
    positions = [_fit(layout) for layout in layouts]
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
        x, y = positions[0][number]
        kind = "image" if number < images else "text"
        yield (
            f'<circle class="{kind}" data-n="{number}" r="{5 if kind == "image" else 3.2}" '
            f'cx="{x}" cy="{y}" style="--c:{colours[points[number].group]}"/>\n'
        )
    yield '</svg><div class="tip" hidden></div></div>\n<aside>\n'
    yield from _controls(by, layouts, colours, counts)
    data = {
        "points": [[point.title, point.caption, point.group, point.thumbnail] for point in points],
        "layouts": [layout.tolist() for layout in positions],
    }
    # A "<" in a caption could end the script element.
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


def _fit(layout: Layout) -> NDArray[np.float64]:
    """Return the positions in units of the drawing, (n + m, 2), with one scale for both axes."""
    points = np.concatenate([layout.images, layout.captions]).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    extent = float((high - low).max()) or 1.0
    scaled = (points - (low + high) / 2) / extent * (SIZE - 2 * BORDER)
    # The second axis of a screen points down.
    return np.asarray(np.round(SIZE / 2 + scaled * (1, -1), 1))
