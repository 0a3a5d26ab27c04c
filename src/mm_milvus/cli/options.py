"""The options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mm_milvus.sources.options import SourceOptions
    from mm_milvus.store.connection import Store

STORE, SOURCE, ENCODER, RUN = "Store", "Source", "Encoder and index", "Run"

EXIT_REJECTED = 3
EXIT_INTERRUPTED = 130

Uri = Annotated[
    str,
    typer.Option(
        envvar="MM_MILVUS_URI",
        help="A Milvus Lite file (*.db), or the address of a server: http://HOST:PORT.",
        rich_help_panel=STORE,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="MM_MILVUS_TOKEN",
        show_envvar=True,
        show_default=False,
        help="USER:PASSWORD or an API key; better given in the environment.",
        rich_help_panel=STORE,
    ),
]
DbName = Annotated[
    str | None, typer.Option(help="The database inside the server.", rich_help_panel=STORE)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

Model = Annotated[
    str,
    typer.Option(
        envvar="MM_MILVUS_MODEL",
        help="compact, a CLIP-like model by hub id (ID@REVISION), or its local folder.",
        rich_help_panel=ENCODER,
    ),
]
Document = Annotated[
    str | None,
    typer.Option(
        help="Weights of the fields that make an item's vector: image=0.7,title=0.3.",
        rich_help_panel=ENCODER,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(help="Images a call of the encoder; default: found.", rich_help_panel=ENCODER),
]
ImageColumn = Annotated[
    str | None, typer.Option(help="Where a table has the image.", rich_help_panel=SOURCE)
]
CaptionColumn = Annotated[
    list[str] | None,
    typer.Option(help="Where a table has captions; repeatable.", rich_help_panel=SOURCE),
]
IdColumn = Annotated[
    str | None, typer.Option(help="Where a table has the item id.", rich_help_panel=SOURCE)
]
Delimiter = Annotated[
    str | None, typer.Option(help="What separates a table's columns.", rich_help_panel=SOURCE)
]
CaptionFromFolder = Annotated[
    str | None,
    typer.Option(help='Caption images by their folder: "a photo of a {}".', rich_help_panel=SOURCE),
]
AllowOutside = Annotated[
    bool,
    typer.Option(
        "--allow-outside",
        help="Read also the images of a table that lie outside its folder.",
        rich_help_panel=SOURCE,
    ),
]
Prune = Annotated[
    bool, typer.Option("--prune", help="Delete what left the data set.", rich_help_panel=RUN)
]
Limit = Annotated[int | None, typer.Option(help="Stop after this many items.", rich_help_panel=RUN)]
Output = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write all findings: .jsonl, .csv or .parquet.", rich_help_panel=RUN
    ),
]
NoProgress = Annotated[
    bool, typer.Option("--no-progress", help="Draw no bar.", rich_help_panel=RUN)
]

DEFAULT_MODEL = "compact"
DEFAULT_URI = "./mm_milvus.db"


def source_options(
    image_column: str | None,
    caption_column: list[str] | None,
    id_column: str | None,
    delimiter: str | None,
    caption_from_folder: str | None,
    allow_outside: bool,
) -> SourceOptions:
    """How to read a data set, from the options of its panel."""
    from mm_milvus.sources.options import SourceOptions

    return SourceOptions(
        image_column=image_column,
        caption_columns=tuple(caption_column or ()),
        id_column=id_column,
        delimiter=delimiter,
        caption_from_folder=caption_from_folder,
        allow_outside=allow_outside,
    )


def store_of(uri: str, token: str | None, db_name: str | None) -> str | Store:
    """The store of the options: its URI, or an open one where there is a token or database."""
    if not (token or db_name):
        return uri
    from mm_milvus.store.connection import Store

    return Store(uri, token=token, db_name=db_name)


def rejects_path(dataset: str) -> Path:
    """`<dataset>.rejects.jsonl` in the current folder."""
    return Path(re.sub(r"[/\\\0]", "_", dataset) + ".rejects.jsonl")


def parse_document(text: str) -> dict[str, float]:
    """The fields of a document and their weights, from `image=0.7,title=0.3`."""
    return parse_weights("--document", text) or {}


def parse_weights(option: str, text: str | None) -> dict[str, float] | None:
    """Names and their weights, from `image=0.7,title=0.3`; None when the option is not given."""
    if text is None:
        return None
    weights = {}
    for part in text.split(","):
        name, _, weight = (piece.strip() for piece in part.rpartition("="))
        try:
            weights[name] = float(weight)
        except ValueError:
            name = ""
        if not name:
            raise typer.BadParameter(
                f"{option} has {part.strip()!r}; write NAME=WEIGHT, as in image=0.7,title=0.3"
            )
    return weights
