"""What `datasets info` shows: every encoder of a dataset, and the state of its collections."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.store.collection import Collection
from mm_milvus.store.connection import StoreLike, opened
from mm_milvus.store.dataset import create_dataset, dataset_of, find_indexes, require_manifest
from mm_milvus.store.manifest import Manifest

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """One collection of a dataset.

    Attributes:
        name: The engine's name of the collection.
        rows: The row count, every acknowledged write included; where the collection is not loaded,
            that of the last finished ingest, and None if none has finished.
        loaded: Whether the engine holds the collection in memory; Milvus Lite does so in each
            process that opens the dataset.
        index: Type of the vector index.
        index_params: What the index was built with: `{"nlist": 128}`.
        vector_bytes: Size of the vectors, float32.
        disk_bytes: Size of the collection's files; None for a server.
    """

    name: str
    rows: int | None
    loaded: bool
    index: str
    index_params: dict[str, int]
    vector_bytes: int
    disk_bytes: int | None


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """A dataset as one encoder indexed it.

    Attributes:
        manifest: What it was built with.
        collections: Its collections by modality, "image" and "text".
    """

    manifest: Manifest
    collections: dict[str, CollectionInfo]

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest and the collections as JSON-compatible values."""
        collections = {name: asdict(info) for name, info in self.collections.items()}
        return {**self.manifest.to_dict(), "collections": collections}


def dataset_info(dataset: str | None = None, store: StoreLike = DEFAULT_STORE) -> list[IndexInfo]:
    """Describe a dataset with the state of its collections, for every encoder.

    Nothing is loaded that is not loaded yet, except from a Milvus Lite file.

    Args:
        dataset: Name of the dataset (default: the only one in the store).
        store: A Milvus Lite file (`*.db`), the URI of a server, or an open `Store`.

    Returns:
        One entry per encoder, that of the first encoder first.

    Raises:
        QueryError: When there is no such dataset, or no name is given and there are several.
        StoreError: When the store cannot be reached, or the file does not exist.
    """
    with opened(store, must_exist=True) as connected:
        name = require_manifest(connected, dataset).dataset
        infos = []
        for manifest in find_indexes(connected, name):
            if connected.embedded and manifest.is_readable:
                create_dataset(connected, manifest, expected_rows=0)
            index = dataset_of(connected, manifest)
            collections = {
                collection.modality.value: _collection_info(collection, manifest)
                for collection in index.collections
                if collection.exists()
            }
            rows = {name: info.rows for name, info in collections.items() if info.rows is not None}
            infos.append(IndexInfo(replace(manifest, rows=rows), collections))
        return infos


def _collection_info(collection: Collection, manifest: Manifest) -> CollectionInfo:
    loaded = collection.is_loaded()
    rows = collection.count() if loaded else manifest.rows.get(collection.modality.value)
    name = collection.physical_name()
    index, params = collection.vector_index()
    return CollectionInfo(
        name=name,
        rows=rows,
        loaded=loaded,
        index=index,
        index_params=params,
        vector_bytes=(rows or 0) * manifest.dim * FLOAT_BYTES,
        disk_bytes=collection.store.size_on_disk(name),
    )
