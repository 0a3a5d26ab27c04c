"""Copy a dataset to another name, or to another store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import chain

from mm_milvus.choices import DEFAULT_STORE, ProgressMode
from mm_milvus.errors import StoreError
from mm_milvus.progress import Progress, show_progress
from mm_milvus.schema import Field
from mm_milvus.store.collection import Collection
from mm_milvus.store.columns import UnfitValues, find_columns
from mm_milvus.store.connection import Store, StoreLike, opened
from mm_milvus.store.dataset import (
    Dataset,
    create_dataset,
    dataset_of,
    find_indexes,
    require_manifest,
)
from mm_milvus.store.manifest import SCHEMA_VERSION, Manifest
from mm_milvus.store.read import BATCH_ROWS, key_pages, sample_metadata, stored_rows
from mm_milvus.store.rename import require_free
from mm_milvus.store.rows import Row

SAMPLED_ROWS = 1000
"""Rows in which typed columns are found, where only the new store has columns that can be null."""

_UNFINISHED = "__copy"
"""Suffix of the collections of a copy that is not complete: no dataset has such a name."""


def copy_dataset(
    dataset: str,
    new_name: str,
    store: StoreLike = DEFAULT_STORE,
    *,
    to: StoreLike | None = None,
    progress: ProgressMode | bool = "none",
) -> None:
    """Copy a dataset with its vectors, for every encoder that it is indexed with.

    The copy appears when it is complete. If the call is interrupted, the same call starts again.
    What is written to the dataset meanwhile may be missing in the copy.

    Args:
        dataset: Its name.
        new_name: The name of the copy.
        store: A Milvus Lite file (`*.db`), the URI of a server, or an open `Store`.
        to: The store of the copy (default: the same).
        progress: How to show progress on stderr.

    Raises:
        QueryError: When there is no such dataset, or already one of the new name.
        StoreError: When a store cannot be reached, the file of the first does not exist, or the
            dataset has the schema version of another mm-milvus.
    """
    with opened(store, must_exist=True) as source:
        require_manifest(source, dataset)
        manifests = find_indexes(source, dataset)
        for manifest in manifests:
            manifest.require_readable()
        with nullcontext(source) if to is None else opened(to) as target:
            require_free(target, new_name)
            for manifest in chain(manifests, find_indexes(target, new_name)):
                _drop_leftovers(replace(manifest, dataset=new_name), target)
            indexes = [create_dataset(source, manifest, expected_rows=0) for manifest in manifests]
            rows = sum(count for index in indexes for count in index.counts().values())
            with show_progress(progress, unit="rows", total=rows) as shown:
                copies = [_copy(index, new_name, target, shown) for index in indexes]
            # The first encoder's images last: by them a dataset is found.
            for copied in reversed(copies):
                for collection in reversed(copied.collections):
                    _publish(collection)
            create_dataset(target, copies[0].manifest, expected_rows=0)


def _copy(index: Dataset, new_name: str, target: Store, shown: Progress) -> Dataset:
    """Copy an index into collections that no dataset has."""
    manifest = _new_manifest(index, new_name, target)
    copied = Dataset(manifest, *map(_unfinished, dataset_of(target, manifest).collections))
    unfit = UnfitValues()
    for source, unfinished in zip(index.collections, copied.collections, strict=True):
        unfinished.create(manifest, source.count())
        for rows in _batches(source):
            for row in rows:
                unfit.add(row.metadata, manifest.columns, nullable=manifest.nullable)
            unfinished.upsert(rows, manifest.columns)
            shown.update(len(rows))
    return copied.with_unfit(unfit.families).finish()


def _new_manifest(index: Dataset, new_name: str, target: Store) -> Manifest:
    """Return the manifest of an empty copy, with the columns that the new store can have."""
    manifest = index.manifest
    columns = manifest.columns
    if target.has_null != manifest.nullable:
        columns = {key: columns[key] for key in manifest.promoted}
    if target.has_null and not manifest.nullable:
        sample = chain(*(sample_metadata(each, SAMPLED_ROWS) for each in index.collections))
        columns = find_columns(sample) | columns
    return replace(
        manifest,
        dataset=new_name,
        columns=columns,
        nullable=target.has_null,
        unfit={},
        rows={},
        search_params={},
        schema_version=SCHEMA_VERSION,
    )


def _batches(collection: Collection) -> Iterator[list[Row]]:
    for page in key_pages(collection):
        ids = [row[Field.ID] for row in page]
        for start in range(0, len(ids), BATCH_ROWS):
            yield stored_rows(collection, ids[start : start + BATCH_ROWS])


def _unfinished(collection: Collection) -> Collection:
    name = f"{collection.name}{_UNFINISHED}"
    return Collection(collection.store, name, collection.modality)


def _drop_leftovers(manifest: Manifest, target: Store) -> None:
    """Delete what a copy that was killed has left of the collections of an index."""
    for collection in dataset_of(target, manifest).collections:
        unfinished = _unfinished(collection)
        if unfinished.exists():
            unfinished.drop()
        if collection.exists():
            other = collection.manifest().dataset
            if other != manifest.dataset:
                raise StoreError(f"collection {collection.name} belongs to the dataset {other!r}")
            collection.drop()


def _publish(unfinished: Collection) -> None:
    """Give a finished collection its name."""
    name = unfinished.name.removesuffix(_UNFINISHED)
    with unfinished.store.explained(f"cannot rename collection {unfinished.name}"):
        unfinished.client.rename_collection(unfinished.name, name)
