"""Hits on a terminal: a table, their images, an explanation of the scores, and a gallery page."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mm_milvus.progress import write_stderr

if TYPE_CHECKING:
    from mm_milvus.search.hits import Explanation, Hit, ListScore

COLUMNS_PER_PICTURE = 16
"""Width of a picture in a terminal, in characters."""


def print_hits(hits: Sequence[Hit]) -> None:
    """Print a table of hits; above it their images, in a terminal that can show them."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    show_pictures(hits)
    console = Console()
    if not hits:
        console.print("no hits")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True, width=min(console.width, 120))
    table.add_column("#", justify="right", style="dim", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("item", overflow="fold", ratio=1)
    table.add_column("caption", overflow="ellipsis", no_wrap=True, ratio=1)
    table.add_column("image", justify="right", no_wrap=True)
    table.add_column("text", justify="right", no_wrap=True)
    for number, hit in enumerate(hits, start=1):
        table.add_row(
            str(number),
            f"{hit.score:.4f}",
            Text(hit.item_id),
            Text(hit.caption or "—"),
            _place(hit.image),
            _place(hit.text),
        )
    console.print(table)


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
        table.add_row(str(number), Text(hit.item_id), *cells)
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
