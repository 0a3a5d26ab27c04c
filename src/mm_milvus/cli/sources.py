"""Open the source of a stored dataset as its last ingest did, and print how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from mm_milvus.cli.messages import option_names
from mm_milvus.progress import write_stderr
from mm_milvus.sources.options import SourceOptions

if TYPE_CHECKING:
    from mm_milvus.sources.base import Source
    from mm_milvus.store.connection import StoreLike


def open_as_before(
    path: str,
    options: SourceOptions,
    store: StoreLike,
    dataset: str | None,
    context: typer.Context,
) -> Source:
    """Open a source; options that the user left out are those of the dataset's last ingest.

    Args:
        path: What `open_source` takes.
        options: Those of the command line.
        store: Where the dataset is, or will be.
        dataset: The dataset's name (default: that of the source).
        context: The call of the command, which shows what the user gave.

    Returns:
        The source. How it is read is printed on stderr.
    """
    from mm_milvus.ingestion.remembered import open_as_before
    from mm_milvus.store.connection import Store

    given = {
        name: getattr(options, name)
        for name in SourceOptions.__dataclass_fields__
        if (origin := context.get_parameter_source(name)) and origin.name == "COMMANDLINE"
    }
    source, taken = open_as_before(
        path, given, store if isinstance(store, Store) else None, dataset
    )
    if roles := getattr(getattr(source, "source", None), "roles", None):
        captions = f"captions in {', '.join(roles.captions)}" if roles.captions else "no captions"
        ids = f"ids in {roles.item_id}" if roles.item_id else "ids are the images' paths"
        write_stderr(f"columns: images in {roles.image}, {captions}, {ids}")
    if taken:
        written = _written(taken, option_names(context.command.params))
        write_stderr(f"read as by the last ingest: {written}")
    return source


def _written(options: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return options as a user writes them."""
    pairs = [
        (names[name], single)
        for name, value in options.items()
        for single in (value if isinstance(value, tuple) else [value])
    ]
    return " ".join(name if value is True else f"{name} {value!r}" for name, value in pairs)
