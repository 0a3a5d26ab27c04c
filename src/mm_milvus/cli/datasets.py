"""mm-milvus datasets list | info | drop."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.groups import OpenStore, json_option, store_options
from mm_milvus.cli.help import Command

if TYPE_CHECKING:
    from mm_milvus.store.manifest import Manifest

app = typer.Typer(
    rich_markup_mode=None,
    help="""Show what is in the store: list the datasets, describe one, delete one.

    Examples:

        mm-milvus datasets list
        mm-milvus datasets info photos
        mm-milvus datasets drop photos
    """,
)

Name = Annotated[str, typer.Argument(help="The name of the dataset.")]


@app.command("list", cls=Command)
@store_options
@json_option
def list_(*, as_json: bool, store: OpenStore) -> None:
    """List the datasets of a store, with their row counts and encoders.

    Examples:

        mm-milvus datasets list --uri http://localhost:19530
    """
    from mm_milvus.store.connection import store_uri
    from mm_milvus.store.dataset import list_datasets

    target = store()
    uri, manifests = store_uri(target), list_datasets(target)
    if as_json:
        print(json.dumps({"uri": uri, "datasets": [manifest.to_dict() for manifest in manifests]}))
        return
    if not manifests:
        print(f"{uri} holds no dataset; add one with: mm-milvus ingest PATH")
    for manifest in manifests:
        print(f"{manifest.dataset}\t{_rows(manifest)}\t{manifest.encoder}")


@app.command(cls=Command)
@store_options
@json_option
def info(*, name: Name, as_json: bool, store: OpenStore) -> None:
    """Describe a dataset: its encoder, index, promoted columns and row counts.

    Examples:

        mm-milvus datasets info photos
    """
    from mm_milvus.store.dataset import describe_dataset

    facts = describe_dataset(name, store()).to_dict()
    if as_json:
        print(json.dumps(facts))
        return
    for key, value in facts.items():
        shown = json.dumps(value) if isinstance(value, dict) else value
        print(f"{key:<20} {shown}")


@app.command(cls=Command)
@store_options
def drop(
    *,
    name: Name,
    store: OpenStore,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Delete without asking for confirmation.")
    ] = False,
) -> None:
    """Delete a dataset with all of its rows from the store.

    Examples:

        mm-milvus datasets drop photos --yes
    """
    from mm_milvus.store.connection import opened
    from mm_milvus.store.dataset import drop_dataset, open_dataset

    with opened(store(), must_exist=True) as connected:
        if not yes:
            rows = _rows(open_dataset(connected, name).manifest)
            typer.confirm(f"Delete {name} ({rows}) from {connected.uri}?", abort=True)
        drop_dataset(name, connected)
    print(f"dropped {name}")


def _rows(manifest: Manifest) -> str:
    if not manifest.rows:
        return "unfinished"
    return f"{manifest.rows['image']:,} images, {manifest.rows['text']:,} captions"
