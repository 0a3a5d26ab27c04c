"""mm-milvus query."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mm_milvus.cli.options import DEFAULT_URI, DbName, Json, Token, Uri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from mm_milvus.search import Hit, ListScore

COLUMNS_A_PICTURE = 16
"""How wide a picture is shown in a terminal."""

FILTER, OUTPUT = "Filter", "Output"

EXAMPLES = """
Search by a text, by an image, or by both together.

**Examples**

    mm-milvus query "red dress"

    mm-milvus query --image look.jpg --top-k 20

    mm-milvus query "in blue" --image look.jpg --gallery hits.html

    mm-milvus query "boots" --where 'price<50' --where 'color=red' --where 'tags has sale' --json
"""


def query(
    text: Annotated[str | None, typer.Argument(help="What to search for.")] = None,
    image: Annotated[Path | None, typer.Option(help="An image file to search with.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Where to search; default: the only data set there is.")
    ] = None,
    uri: Uri = DEFAULT_URI,
    token: Token = None,
    db_name: DbName = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", help="How many items, 1 to 16384.")] = 10,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="A condition on the metadata, KEY OP VALUE with = != < <= > >= has; repeatable, "
            "all must hold.",
            rich_help_panel=FILTER,
        ),
    ] = None,
    filter_: Annotated[
        str, typer.Option("--filter", help="A raw Milvus expression.", rich_help_panel=FILTER)
    ] = "",
    fusion: Annotated[str, typer.Option(help="How the two lists become one: max, rrf.")] = "max",
    as_json: Json = False,
    gallery: Annotated[
        Path | None,
        typer.Option(help="Write an HTML page with the pictures.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Parse, search, print."""
    from mm_milvus.search import SearchClient

    with SearchClient(uri, dataset, token=token, db_name=db_name) as client:
        hits = client.search(
            text, image, top_k=top_k, where=where or (), filter=filter_, fusion=fusion
        )
        dataset, model = client.dataset, client.model
    if as_json:
        answer: dict[str, Any] = {"query": text, "dataset": dataset, "model": model}
        if image is not None:
            answer["query_image"] = str(image)
        print(json.dumps({**answer, "hits": [hit.to_dict() for hit in hits]}, ensure_ascii=False))
    else:
        print_hits(hits)
    if gallery is not None:
        save_gallery(gallery, hits, text=text, image=image)


query.__doc__ = EXAMPLES


def print_hits(hits: Sequence[Hit]) -> None:
    """A table of hits; above it their pictures, in a terminal that can show them."""
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


def show_pictures(hits: Sequence[Hit]) -> None:
    """The pictures of the hits in one row, in a terminal that can show them; else nothing."""
    from mm_milvus.errors import MmMilvusError
    from mm_milvus.render.contact_sheet import contact_sheet
    from mm_milvus.render.terminal import detect, encode

    protocol = detect(os.environ, sys.stdout.isatty())
    if protocol is None:
        return
    columns = shutil.get_terminal_size().columns
    pictures = []
    for number, hit in enumerate(hits[: max(1, columns // COLUMNS_A_PICTURE)], start=1):
        with suppress(MmMilvusError, OSError):
            pictures.append((_open_image(hit.uri), f"{number}  {hit.score:.3f}"))
    if pictures:
        print(encode(contact_sheet([("", pictures)]), protocol, columns), end="")


def _place(place: ListScore | None) -> str:
    return f"{place.score:.3f} #{place.rank}" if place else "—"


def save_gallery(path: Path, hits: Sequence[Hit], *, text: str | None, image: Path | None) -> None:
    """Write one HTML page with the hits and their pictures."""
    from mm_milvus.render.gallery import write_gallery

    picture = _open_image(str(image)) if image else None
    write_gallery(path, hits, title=text or "", query_image=picture, load_image=_open_image)
    print(f"gallery: {path}", file=sys.stderr)


def _open_image(uri: str) -> Image.Image:
    from mm_milvus.images import decode
    from mm_milvus.sources import read_image

    return decode(read_image(uri))
