"""The end of an ingest: flush, an index that fits the row count, measured search parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_milvus.schema import Field
from mm_milvus.store.collection import Collection
from mm_milvus.store.connection import CALL_TIMEOUT_S
from mm_milvus.store.index import (
    EXACT_ROWS,
    INDEX_TYPES,
    index_params,
    is_stale,
    smallest_nprobe,
)
from mm_milvus.store.manifest import Manifest

SAMPLE_ROWS = 64
"""How many stored vectors ask for their neighbours when nprobe is measured."""

NEIGHBOURS = 10
"""Recall is measured at this depth."""


def finish(collection: Collection, manifest: Manifest) -> tuple[int, dict[str, int]]:
    """Make what was written durable and quick to search.

    Returns the row count, and the parameters to search with.
    """
    with collection.connection.explained(f"cannot flush collection {collection.name}"):
        collection.client.flush(collection.name)
    count = collection.count()
    _reindex_if_stale(collection, manifest, count)
    params = INDEX_TYPES[manifest.index_type].search(count)
    if "nprobe" in params and count > EXACT_ROWS:
        params = {"nprobe": _measure_nprobe(collection, params["nprobe"])}
    return count, params


def _reindex_if_stale(collection: Collection, manifest: Manifest, count: int) -> None:
    wanted = INDEX_TYPES[manifest.index_type].build(count)
    client, name, field = collection.client, collection.name, Field.EMBEDDING.value
    with collection.connection.explained(f"cannot index collection {name}"):
        built = client.describe_index(name, field, timeout=CALL_TIMEOUT_S)
        if not is_stale(_build_params(built), wanted):
            return
        client.release_collection(name)
        client.drop_index(name, field)
        client.create_index(name, index_params(client, manifest, count))
        client.load_collection(name)


def _build_params(description: dict[str, Any]) -> dict[str, int]:
    """What the index was built with; the engines nest it differently."""
    params = description.get("params") or description
    return {key: int(value) for key, value in params.items() if key == "nlist"}


def _measure_nprobe(collection: Collection, nlist: int) -> int:
    """Recall of sampled rows against a scan of every cell, which is exact."""
    with collection.connection.explained(f"cannot read collection {collection.name}"):
        sample = collection.client.query(
            collection.name,
            filter="",
            output_fields=[Field.EMBEDDING.value],
            limit=SAMPLE_ROWS,
            timeout=CALL_TIMEOUT_S,
        )
    queries = np.asarray([row[Field.EMBEDDING] for row in sample], dtype=np.float32)

    def neighbours(nprobe: int) -> list[set[str]]:
        answer = collection.raw_search(queries, NEIGHBOURS, [], "", {"nprobe": nprobe})
        return [{hit[Field.ID] for hit in hits} for hits in answer]

    exact = neighbours(nlist)

    def recall(nprobe: int) -> float:
        found = neighbours(nprobe)
        return sum(len(a & b) for a, b in zip(found, exact, strict=True)) / sum(map(len, exact))

    return smallest_nprobe(nlist, recall)
