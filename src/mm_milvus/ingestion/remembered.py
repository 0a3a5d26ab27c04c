"""The source options of a stored dataset: every run reads its source in the same way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any

from mm_milvus.errors import OptionError, StoreError
from mm_milvus.sources.base import Source
from mm_milvus.sources.open import dataset_name, open_source
from mm_milvus.sources.opened import options_of_source
from mm_milvus.sources.options import SourceOptions
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import find_manifest
from mm_milvus.store.manifest import Manifest

NOT_REMEMBERED = frozenset({"connect_timeout", "timeout", "retries", "fetch_concurrency"})
"""Options that do not change what an item is."""

DEFAULTS = SourceOptions()


def open_as_before(
    path: str | os.PathLike[str],
    given: SourceOptions | Mapping[str, Any] | None,
    store: Store | None,
    dataset: str | None,
) -> tuple[Source, dict[str, Any]]:
    """Open a source as the last ingest of its dataset did, unless other options are given.

    Args:
        path: What `open_source` takes.
        given: `SourceOptions` to use exactly; or single options by name, which replace those of
            the last ingest.
        store: Where the dataset is stored; None where the store does not exist yet.
        dataset: The dataset's name (default: that of the source).

    Returns:
        The source, and the options that were taken from the last ingest, by name.

    Raises:
        OptionError: For an option that there is not.
        SourceError: When the source cannot be read as it was named.
    """
    if isinstance(given, SourceOptions):
        return open_source(path, given), {}
    given = given or {}
    for name in given.keys() - {field.name for field in fields(SourceOptions)}:
        near = get_close_matches(name, [field.name for field in fields(SourceOptions)], n=1)
        hint = f"; is it {near[0]!r}?" if near else ""
        raise OptionError(f"`source_options` has no option {name!r}{hint}")
    manifest = None if store is None else find_manifest(store, dataset or dataset_name(path))
    taken = {
        name: value for name, value in remembered_options(manifest).items() if name not in given
    }
    return open_source(path, replace(DEFAULTS, **taken, **given)), {
        name: value for name, value in taken.items() if name != "id_column" or value
    }


def remembered_options(manifest: Manifest | None) -> dict[str, Any]:
    """Return the options that a dataset's source was read with, by name, without defaults."""
    if manifest is None:
        return {}
    if manifest.source_options is None:
        # Made before ids were looked for in a column: its ids are paths, unless one was named.
        return {"id_column": ""}
    known = {field.name for field in fields(SourceOptions)} - NOT_REMEMBERED
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in manifest.source_options.items()
        if name in known
    }


def stored_options(manifest: Manifest) -> SourceOptions:
    """Return how the source of a dataset was read."""
    return replace(DEFAULTS, **remembered_options(manifest))


def to_remember(source: object) -> dict[str, Any]:
    """Return the options of a source for the manifest; none of a source without options."""
    options = options_of_source(source)
    if options is None:
        return {}
    values = {field.name: getattr(options, field.name) for field in fields(SourceOptions)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name not in NOT_REMEMBERED and value != getattr(DEFAULTS, name)
    }


def check_ids(manifest: Manifest, source: object) -> None:
    """Raise StoreError where a source has its ids in another column than the stored dataset."""
    stored = (manifest.source_options or {}).get("id_column")
    new = to_remember(source).get("id_column")
    if stored is not None and new is not None and stored != new:
        raise StoreError(
            f"dataset {manifest.dataset!r} has its ids from {_shown(stored)}, and this source from "
            f"{_shown(new)}: every item would be stored a second time; give the same `id_column`, "
            "or build it again (`rebuild`)"
        )


def _shown(column: str) -> str:
    return f"the column {column!r}" if column else "the images' paths"
