"""Hits on a terminal: a table, their images, an explanation of the scores, and a gallery page."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_milvus.progress import write_stderr
from mm_milvus.text import as_text, visible

if TYPE_CHECKING:
    from mm_milvus.search.hits import Explanation, Hit, ListScore

COLUMNS_PER_PICTURE = 16
"""Width of a picture in a terminal, in characters."""

LEAST_WIDTH = 10
"""Width that a cut column of the table keeps, in characters."""

GAP = 3
"""Characters between two columns of the table."""


def print_hits(hits: Sequence[Hit], columns: Sequence[str] = ()) -> None:
    """Print a table of hits; above it their images, in a terminal that can show them.

    The table is as wide as its content, at most as wide as the terminal: first captions are cut,
    then metadata, and last of all ids are broken into lines.

    Args:
        hits: The hits, best first.
        columns: Metadata keys to show; a dot leads into an object.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mm_milvus.render.terminal import shows_links

    show_pictures(hits)
    console = Console()
    if not hits:
        console.print("no hits")
        return
    links = shows_links(os.environ, sys.stdout.isatty())
    ids = [visible(hit.item_id) for hit in hits]
    data = {key: [_value(hit.metadata, key) for hit in hits] for key in columns}
    captions = [visible(hit.caption or "—") for hit in hits]
    scores = {
        "#": [str(number) for number in range(1, len(hits) + 1)],
        "score": [f"{hit.score:.4f}" for hit in hits],
        "image": [_place(hit.image) for hit in hits],
        "text": [_place(hit.text) for hit in hits],
    }
    names = {key: visible(key) for key in columns}
    wanted = [_width("item", ids), *(_width(names[key], data[key]) for key in columns)]
    gaps = GAP * (len(scores) + len(wanted) + 1) - 1
    taken = gaps + sum(_width(name, cells) for name, cells in scores.items())
    item, *others, caption = _fit([*wanted, _width("caption", captions)], console.width - taken)

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("#", justify="right", style="dim", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("item", overflow="fold", width=item)
    for key, width in zip(columns, others, strict=True):
        table.add_column(Text(names[key]), overflow="ellipsis", no_wrap=True, width=width)
    table.add_column("caption", overflow="ellipsis", no_wrap=True, width=caption)
    table.add_column("image", justify="right", no_wrap=True)
    table.add_column("text", justify="right", no_wrap=True)
    for n, hit in enumerate(hits):
        table.add_row(
            scores["#"][n],
            scores["score"][n],
            Text(ids[n], style=_link(hit.uri) if links else ""),
            *(Text(data[key][n]) for key in columns),
            Text(captions[n]),
            scores["image"][n],
            scores["text"][n],
        )
    console.print(table)


def _width(name: str, cells: Sequence[str]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, (name, *cells)))


def _fit(wanted: Sequence[int], width: int) -> list[int]:
    """Reduce the widths of id, metadata and caption, the last one first, to a sum of `width`.

    None becomes less than `LEAST_WIDTH`.
    """
    widths = list(wanted)
    for n in reversed(range(len(widths))):
        excess = sum(widths) - width
        if excess > 0:
            widths[n] = max(min(widths[n], LEAST_WIDTH), widths[n] - excess)
    return widths


def _value(metadata: Mapping[str, Any], key: str) -> str:
    """Return a metadata value as a cell: texts unchanged, others as JSON, missing ones as —."""
    value: Any = metadata.get(key)
    if value is None:
        value = metadata
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    return "—" if value is None else visible(as_text(value))


def _link(uri: str) -> str:
    """Return a style that links to an image, if it is a local file or a page of the web."""
    if uri.startswith(("http://", "https://")) and uri.isascii() and uri.isprintable():
        return f"link {uri}" if " " not in uri else ""
    path = Path(uri)
    with suppress(OSError, ValueError):
        return f"link {path.as_uri()}" if path.is_absolute() and path.is_file() else ""
    return ""


def print_explanation(explanation: Explanation) -> None:
    """Print score, rank and fusion term of each hit in each list, and the time of each stage."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    names = list(dict.fromkeys(name for places in explanation.places for name in places))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"fusion {explanation.fusion}")
    table.add_column("#", justify="right", style="dim", no_wrap=True)
    table.add_column("item", overflow="fold")
    for name in names:
        for column in (name, "rank", "term"):
            table.add_column(column, justify="right", no_wrap=True)
    for number, (hit, places) in enumerate(
        zip(explanation.hits, explanation.places, strict=True), start=1
    ):
        cells = []
        for name in names:
            place = places.get(name)
            cells += (
                [f"{place.score:.4f}", f"{place.rank}", f"{place.term:.4f}"]
                if place
                else ["—", "—", "—"]
            )
        table.add_row(str(number), Text(visible(hit.item_id)), *cells)
    console.print(table)
    stages = "  ".join(
        f"{name} {milliseconds:.1f} ms" for name, milliseconds in explanation.stages.items()
    )
    console.print(f"{explanation.candidates} candidates; {stages}", highlight=False)


def show_pictures(hits: Sequence[Hit]) -> None:
    """Print the images of the hits in one row, in a terminal that can show them."""
    from mm_milvus.errors import MmMilvusError
    from mm_milvus.images.load import load_image
    from mm_milvus.render.contact_sheet import contact_sheet
    from mm_milvus.render.terminal import detect, encode

    protocol = detect(os.environ, sys.stdout.isatty())
    if protocol is None:
        return
    columns = shutil.get_terminal_size().columns
    pictures = []
    for number, hit in enumerate(hits[: max(1, columns // COLUMNS_PER_PICTURE)], start=1):
        with suppress(MmMilvusError, OSError):
            pictures.append((load_image(hit.uri), f"{number}  {hit.score:.3f}"))
    if pictures:
        print(encode(contact_sheet([("", pictures)]), protocol, columns), end="")


def _place(place: ListScore | None) -> str:
    return f"{place.score:.3f} #{place.rank}" if place else "—"


def save_gallery(path: Path, hits: Sequence[Hit], *, text: str, image: str | None) -> None:
    """Write one HTML page with the hits and their images."""
    from mm_milvus.images.load import load_image
    from mm_milvus.render.gallery import write_gallery

    picture = load_image(image) if image else None
    write_gallery(path, hits, title=text, query_image=picture, load_image=load_image)
    write_stderr(f"gallery: {path}")
