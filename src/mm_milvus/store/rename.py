"""Rename a dataset."""

from __future__ import annotations

from dataclasses import replace

from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.errors import QueryError, StoreError
from mm_milvus.schema import Modality
from mm_milvus.store.collection import Collection
from mm_milvus.store.connection import Store, StoreLike, opened
from mm_milvus.store.dataset import collection_name, dataset_of, find_indexes, require_manifest
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.rebuild import drop_unfinished


def rename_dataset(dataset: str, new_name: str, store: StoreLike = DEFAULT_STORE) -> None:
    """Rename a dataset, for every encoder that it is indexed with; no row is written.

    If the call is interrupted, the same call completes it. Clients that are open keep the previous
    name, and fail.

    Args:
        dataset: Its name.
        new_name: The name that it gets.
        store: A Milvus Lite file (`*.db`), the URI of a server, or an open `Store`.

    Raises:
        QueryError: When there is no such dataset, or already one of the new name.
        StoreError: When the store cannot be reached, the file does not exist, or the dataset has
            the schema version of another mm-milvus.
    """
    with opened(store, must_exist=True) as connected:
        if not _is_half_renamed(connected, dataset, new_name):
            require_manifest(connected, dataset)
            require_free(connected, new_name)
        for manifest in find_indexes(connected, dataset):
            _require_free_collections(connected, manifest, new_name)
        # The first encoder's collections last: by them a dataset is found.
        for manifest in reversed(find_indexes(connected, dataset)):
            manifest.require_readable()
            renamed = replace(manifest, dataset=new_name)
            previous, new = (dataset_of(connected, each) for each in (manifest, renamed))
            # The images first: without them, nobody opens the dataset, and creates what is missing.
            for old_collection, new_collection in zip(
                previous.collections, new.collections, strict=True
            ):
                _rename(old_collection, new_collection.name)
            new.with_manifest(renamed)


def require_free(store: Store, name: str) -> None:
    """Raise QueryError when there is a dataset of that name.

    Raises:
        StoreError: When its collections would be those of another dataset or application.
    """
    existing = _images(store, name)
    if not existing.exists():
        return
    other = existing.manifest().dataset
    if other != name:
        raise StoreError(f"collection {existing.name} belongs to the dataset {other!r}")
    raise QueryError(
        f"{store.uri} has a dataset {name!r} already; drop it first, or choose another name"
    )


def _is_half_renamed(store: Store, dataset: str, new_name: str) -> bool:
    """Return whether the images have the new name, and the manifest of the previous one."""
    images = _images(store, new_name)
    return new_name != dataset and images.exists() and images.manifest().dataset == dataset


def _require_free_collections(store: Store, manifest: Manifest, new_name: str) -> None:
    renamed = replace(manifest, dataset=new_name)
    for old, new in zip(
        dataset_of(store, manifest).collections, dataset_of(store, renamed).collections, strict=True
    ):
        if old.exists() and new.exists() and old.physical_name() != new.physical_name():
            raise StoreError(
                f"{store.uri} has a collection {new.name} already, of an unfinished copy or drop; "
                "choose another name"
            )


def _images(store: Store, name: str) -> Collection:
    return Collection(store, collection_name(name, Modality.IMAGE), Modality.IMAGE)


def _rename(collection: Collection, new_name: str) -> None:
    """Rename a collection, unless that is done already."""
    if not collection.exists():
        return
    physical = collection.physical_name()
    client = collection.client
    drop_unfinished(collection.store, collection.name, live=physical)
    with collection.store.explained(f"cannot rename collection {collection.name}"):
        if physical != new_name:
            client.rename_collection(physical, new_name)
        if physical != collection.name:
            client.drop_alias(collection.name)
