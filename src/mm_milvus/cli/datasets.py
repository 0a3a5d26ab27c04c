"""mm-milvus datasets list | info | drop."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mm_milvus.cli.options import DEFAULT_URI, DbName, Json, Token, Uri

if TYPE_CHECKING:
    from mm_milvus.store.connection import Store
    from mm_milvus.store.manifest import Manifest

app = typer.Typer(
    no_args_is_help=True,
    help="What is in the store: list the data sets, describe one, drop one.",
    rich_markup_mode="markdown",
)

Name = Annotated[str, typer.Argument(help="The name of the data set.")]


@app.command("list")
def list_(
    uri: Uri = DEFAULT_URI, token: Token = None, db_name: DbName = None, as_json: Json = False
) -> None:
    """List the data sets of a store.

    **Example**

        mm-milvus datasets list --uri http://localhost:19530
    """
    from mm_milvus.store.dataset import list_datasets

    with _connect(uri, token, db_name) as connection:
        manifests = list_datasets(connection)
    if as_json:
        print(json.dumps({"uri": connection.uri, "datasets": [asdict(m) for m in manifests]}))
        return
    if not manifests:
        print(f"{connection.uri} holds no data set; fill one with: mm-milvus ingest PATH")
    for manifest in manifests:
        print(f"{manifest.dataset}\t{_rows(manifest)}\t{manifest.encoder}")


@app.command()
def info(
    name: Name,
    uri: Uri = DEFAULT_URI,
    token: Token = None,
    db_name: DbName = None,
    as_json: Json = False,
) -> None:
    """Describe a data set: its encoder, index, promoted columns and row counts.

    **Example**

        mm-milvus datasets info photos
    """
    from mm_milvus.store.dataset import open_dataset

    with _connect(uri, token, db_name) as connection:
        dataset = open_dataset(connection, name)
        facts: dict[str, Any] = {**asdict(dataset.manifest), "rows": dataset.counts()}
    if as_json:
        print(json.dumps(facts))
        return
    for key, value in facts.items():
        shown = json.dumps(value) if isinstance(value, dict) else value
        print(f"{key:<20} {shown}")


@app.command()
def drop(
    name: Name,
    uri: Uri = DEFAULT_URI,
    token: Token = None,
    db_name: DbName = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a data set, and all of its rows, from the store.

    **Example**

        mm-milvus datasets drop photos --yes
    """
    from mm_milvus.store.dataset import drop_dataset, open_dataset

    with _connect(uri, token, db_name) as connection:
        dataset = open_dataset(connection, name)
        if not yes:
            typer.confirm(f"Delete {name} ({_rows(dataset.manifest)}) from {uri}?", abort=True)
        drop_dataset(connection, name)
    print(f"dropped {name}")


def _connect(uri: str, token: str | None, db_name: str | None) -> Store:
    from mm_milvus.store.connection import Store, require_file

    require_file(uri)
    return Store(uri, token=token, db_name=db_name)


def _rows(manifest: Manifest) -> str:
    if not manifest.rows:
        return "unfinished"
    return f"{manifest.rows['image']:,} images, {manifest.rows['text']:,} captions"
