"""mm-milvus datasets list | info | rename | copy | drop."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.groups import (
    STORE,
    ConfirmDeletion,
    OpenStore,
    Progress,
    json_option,
    store_options,
    yes_option,
)
from mm_milvus.cli.help import Command
from mm_milvus.text import visible

if TYPE_CHECKING:
    from mm_milvus.store.info import CollectionInfo
    from mm_milvus.store.manifest import Manifest

app = typer.Typer(
    rich_markup_mode=None,
    help="""Show what is in the store: list the datasets, describe, rename, copy or delete one.

    Examples:

        mm-milvus datasets list
        mm-milvus datasets info photos
        mm-milvus datasets drop photos
    """,
)

Name = Annotated[str, typer.Argument(help="The name of the dataset.")]
NewName = Annotated[str, typer.Argument(help="The name that it gets.")]


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
        state = _rows(manifest) if manifest.is_readable else _version(manifest)
        print("\t".join(map(visible, (manifest.dataset, state, manifest.encoder))))


@app.command(cls=Command)
@store_options
@json_option
def info(*, name: Name, as_json: bool, store: OpenStore) -> None:
    """Describe a dataset: its encoders, columns, and the index, state and size of its collections.

    Examples:

        mm-milvus datasets info photos
        mm-milvus datasets info photos --json
    """
    from mm_milvus.store.info import dataset_info

    indexes = dataset_info(name, store())
    if as_json:
        first, *others = [index.to_dict() for index in indexes]
        print(json.dumps({**first, "other_encoders": others}))
        return
    for number, index in enumerate(indexes):
        print("" if number == 0 else "\n", end="")
        for key, value in index.manifest.to_dict().items():
            shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
            print(visible(f"{key:<20} {shown}"))
        for modality, collection in index.collections.items():
            print(f"{modality + ' collection':<20} {_collection(collection)}")


@app.command(cls=Command)
@store_options
def rename(*, name: Name, new_name: NewName, store: OpenStore) -> None:
    """Rename a dataset; no row is written.

    Examples:

        mm-milvus datasets rename photos photos-2026
    """
    from mm_milvus.store.rename import rename_dataset

    rename_dataset(name, new_name, store())
    print(f"renamed {name} to {new_name}")


@app.command(cls=Command)
@store_options
def copy(
    *,
    context: typer.Context,
    name: Name,
    new_name: Annotated[str, typer.Argument(help="The name of the copy.")],
    store: OpenStore,
    to: Annotated[
        str | None,
        typer.Option(
            "--to-uri",
            help="The store of the copy, a file or a server (default: the same). `--token` is "
            "that of both.",
            rich_help_panel=STORE,
        ),
    ] = None,
    progress: Progress = "auto",
) -> None:
    """Copy a dataset with its vectors; nothing is encoded.

    The copy appears when it is complete.

    Examples:

        mm-milvus datasets copy photos photos-before
        mm-milvus datasets copy photos photos --to-uri http://localhost:19530
    """
    from mm_milvus.store.connection import Store, store_uri
    from mm_milvus.store.copy import copy_dataset

    with ExitStack() as stack:
        target = store()
        other = to and stack.enter_context(Store(to, token=context.params["token"]))
        copy_dataset(name, new_name, target, to=other or None, progress=progress)
        place = store_uri(other or target)
    print(f"copied {name} to {new_name} in {place}")


@app.command(cls=Command)
@store_options
@yes_option
def drop(*, name: Name, store: OpenStore, confirm: ConfirmDeletion) -> None:
    """Delete a dataset with all of its rows from the store.

    Examples:

        mm-milvus datasets drop photos --yes
    """
    from mm_milvus.store.connection import opened
    from mm_milvus.store.dataset import drop_dataset, require_manifest

    with opened(store(), must_exist=True) as connected:
        rows = _rows(require_manifest(connected, name))
        confirm(lambda: f"Delete {name} ({rows}) from {connected.uri}?")
        drop_dataset(name, connected)
    print(f"dropped {name}")


def _version(manifest: Manifest) -> str:
    return f"schema version {manifest.schema_version}, of another mm-milvus"


def _collection(info: CollectionInfo) -> str:
    params = "".join(f" {name}={value}" for name, value in info.index_params.items())
    rows = "unknown" if info.rows is None else f"{info.rows:,}"
    size = (
        f"{info.vector_bytes / 1e6:,.1f} MB of vectors"
        if info.disk_bytes is None
        else f"{info.disk_bytes / 1e6:,.1f} MB on disk"
    )
    state = "loaded" if info.loaded else "not loaded"
    return f"{info.name}: {rows} rows, {info.index or 'no index'}{params}, {state}, {size}"


def _rows(manifest: Manifest) -> str:
    if not manifest.rows:
        return "unfinished"
    return f"{manifest.rows['image']:,} images, {manifest.rows['text']:,} captions"
