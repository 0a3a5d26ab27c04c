"""mm-milvus items list | get | count | delete | export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

import typer

from mm_milvus.cli.groups import (
    FILTER,
    OUTPUT,
    ConfirmDeletion,
    OpenStore,
    Progress,
    condition_options,
    json_option,
    store_options,
    yes_option,
)
from mm_milvus.cli.help import Command
from mm_milvus.cli.input import opened_lines
from mm_milvus.cli.options import comma_list
from mm_milvus.cli.output import print_json
from mm_milvus.errors import QueryError
from mm_milvus.progress import write_stderr
from mm_milvus.search.options import SearchOptions
from mm_milvus.text import visible

if TYPE_CHECKING:
    from mm_milvus.items.table import Items
    from mm_milvus.search.where import Conditions

EXIT_MISSING = 1

TABLE_COLUMNS = ("item_id", "captions", "metadata")
"""What a table shows where no columns are named."""

app = typer.Typer(
    rich_markup_mode=None,
    help="""Show, count, delete and export the items of a dataset; nothing is encoded.

    Examples:

        mm-milvus items list photos --where 'price<50'
        mm-milvus items count photos --caption-has dress
        mm-milvus items delete photos train/dress/12.jpg
        mm-milvus items export photos --to photos.parquet --vectors
    """,
)

Name = Annotated[str, typer.Argument(metavar="DATASET", help="The name of the dataset.")]
Ids = Annotated[
    list[str] | None, typer.Argument(metavar="ID", help="The ids of items, as a list shows them.")
]
IdsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Take the ids from a file, one per line; - for stdin.",
        rich_help_panel=FILTER,
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="What to show: item_id, uri, captions, metadata, content_hash, image_embedding, "
        "caption_embeddings, and keys of the metadata.",
        rich_help_panel=OUTPUT,
    ),
]
JsonLines = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object per line.", rich_help_panel=OUTPUT),
]


class Shown(TypedDict, total=False):
    """`columns` of `SearchClient.items`, where they are not its default."""

    columns: tuple[str, ...]


@app.command("list", cls=Command)
@store_options
@condition_options
def list_(
    *,
    name: Name,
    store: OpenStore,
    conditions: SearchOptions,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of items.")] = 20,
    after: Annotated[
        str, typer.Option(metavar="ID", help="Begin after this item: the last one of a page.")
    ] = "",
    columns: Columns = None,
    as_json: JsonLines = False,
) -> None:
    """List items, in the order of their keys, which are hashes of the ids.

    Items with an image come first, then those without one.

    Examples:

        mm-milvus items list photos
        mm-milvus items list photos --where 'price<50' --columns item_id,price
        mm-milvus items list photos --limit 1000 --after train/dress/12.jpg --json
    """
    from mm_milvus.search.client import SearchClient

    with SearchClient(store(), name) as client:
        items = client.items(
            **_shown(columns, as_json=as_json),
            after=after,
            limit=limit,
            **_selecting(conditions),
        )
        listed = _print(items, as_json=as_json)
    if len(listed) == limit and not as_json:
        write_stderr(f"for the next page: --after {listed[-1]!r}")


@app.command(cls=Command)
@store_options
def get(
    *,
    name: Name,
    ids: Ids = None,
    store: OpenStore,
    ids_file: IdsFile = None,
    columns: Columns = None,
    as_json: JsonLines = False,
) -> int:
    """Show items by their ids, in the order of the ids.

    The exit code is 1 where one of them is not stored.

    Examples:

        mm-milvus items get photos train/dress/12.jpg
        mm-milvus items get photos --ids-file ids.txt --json
    """
    from mm_milvus.search.client import SearchClient

    named = _named(ids, ids_file)
    if named is None:
        raise typer.BadParameter("name the items: ID..., or --ids-file FILE")
    with SearchClient(store(), name) as client:
        items = client.items(named, **_shown(columns, as_json=as_json))
        missing = {*named}.difference(_print(items, as_json=as_json))
    for item_id in sorted(missing):
        write_stderr(f"mm-milvus: dataset {name!r} has no item {item_id!r}")
    return EXIT_MISSING if missing else 0


@app.command(cls=Command)
@store_options
@condition_options
@json_option
def count(*, name: Name, store: OpenStore, conditions: SearchOptions, as_json: bool) -> None:
    """Count the items, or those that meet conditions.

    Examples:

        mm-milvus items count photos
        mm-milvus items count photos --where 'price<50 and color=red' --json
    """
    from mm_milvus.search.client import SearchClient

    with SearchClient(store(), name) as client:
        counted = client.count(**_selecting(conditions))
    if as_json:
        print_json({"dataset": name, "count": counted})
    else:
        print(counted)


@app.command(cls=Command)
@store_options
@condition_options
@yes_option
@json_option
def delete(
    *,
    name: Name,
    ids: Ids = None,
    store: OpenStore,
    ids_file: IdsFile = None,
    conditions: SearchOptions,
    confirm: ConfirmDeletion,
    as_json: bool,
) -> None:
    """Delete items, by their ids or by conditions, for every encoder of the dataset.

    The next ingest of a source that has them brings them back.

    Examples:

        mm-milvus items delete photos train/dress/12.jpg
        mm-milvus items delete photos --where 'added<2024-01-01' --yes
        mm-milvus items delete photos --ids-file ids.txt --yes --json
    """
    from mm_milvus.search.client import SearchClient

    named = _named(ids, ids_file)
    selecting = _selecting(conditions)
    with SearchClient(store(), name) as client:
        if named is None and any(selecting.values()):
            confirm(lambda: f"Delete {client.count(**selecting):,} items of {name}?")
        elif named is not None:
            confirm(lambda: f"Delete {len({*named}):,} items of {name}?")
        deleted = client.delete(named, **selecting)
    if as_json:
        print_json({"dataset": name, "deleted": deleted})
    else:
        print(f"deleted {deleted:,} items of {name}")


@app.command(cls=Command)
@store_options
@condition_options
@json_option
def export(
    *,
    name: Name,
    to: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The file to write: `.parquet`, `.jsonl` or `.csv`."),
    ],
    store: OpenStore,
    ids_file: IdsFile = None,
    conditions: SearchOptions,
    columns: Columns = None,
    vectors: Annotated[
        bool,
        typer.Option(
            "--vectors",
            help="Write the vectors too: a `.parquet` file is what `mm-milvus ingest --embeddings` "
            "takes.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Whose vectors, for a dataset indexed with several encoders (default: the first).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    progress: Progress = "auto",
    as_json: bool,
) -> None:
    """Write items to a file, which appears when it is complete.

    Examples:

        mm-milvus items export photos --to photos.parquet --vectors
        mm-milvus items export photos --to cheap.csv --where 'price<50'
        mm-milvus items export photos --to prices.jsonl --columns item_id,price
        mm-milvus items export photos --to some.jsonl --ids-file ids.txt
    """
    from mm_milvus.search.client import SearchClient

    named = _named(None, ids_file)
    with SearchClient(store(), name, encoders=[encoder] if encoder else ()) as client:
        written = client.export(
            to,
            named,
            **_shown(columns, as_json=True),
            vectors=vectors,
            progress="none" if as_json else progress,
            **_selecting(conditions),
        )
    if as_json:
        print_json({"dataset": name, "items": written, "file": str(to)})
    else:
        print(f"wrote {written:,} items of {name} to {to}")


def _named(ids: list[str] | None, ids_file: Path | None) -> list[str] | None:
    """Return the ids that the user gave; None where conditions select the items."""
    if ids_file is None:
        return ids or None
    if ids:
        raise typer.BadParameter("--ids-file takes the place of ID...: give one or the other")
    try:
        with opened_lines(ids_file, "the ids") as file:
            lines = b"".join(file).decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise QueryError(f"cannot read the ids in {ids_file}: {reason}") from error
    return [item_id for line in lines if (item_id := line.removesuffix("\r"))]


def _selecting(options: SearchOptions) -> Conditions:
    return {
        "where": options.where,
        "filter": options.filter,
        "caption_has": options.caption_has,
    }


def _shown(columns: str | None, *, as_json: bool) -> Shown:
    """Return the chosen columns; without a choice, those of a table or all that JSON has."""
    if columns is not None:
        return {"columns": comma_list(columns)}
    return {} if as_json else {"columns": TABLE_COLUMNS}


def _print(items: Items, *, as_json: bool) -> list[str]:
    """Print items as lines of JSON or as a table; return their ids."""
    from mm_milvus.items.columns import to_cell, to_json

    names = items.schema.names
    ids = []
    cells = []
    for rows in items.rows():
        for row in rows:
            ids.append(row.item.item_id)
            values = to_json(row, names)
            if as_json:
                print_json(values)
            else:
                cells.append([visible(to_cell(value)) for value in values.values()])
    if not as_json:
        _print_table(names, cells)
    return ids


def _print_table(names: list[str], cells: list[list[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not cells:
        console.print("no items")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True, width=min(console.width, 120))
    for name in names:
        is_id = name == "item_id"
        overflow: Literal["fold", "ellipsis"] = "fold" if is_id else "ellipsis"
        table.add_column(Text(name), overflow=overflow, no_wrap=not is_id, ratio=1)
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)
