"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

STORE = "Store"

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

DEFAULT_URI = "./mm_milvus.db"
