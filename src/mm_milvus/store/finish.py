"""The end of an ingest: flush, and an index that fits the row count."""

from __future__ import annotations

import time

from pymilvus.exceptions import MilvusException

from mm_milvus.schema import Field
from mm_milvus.store.collection import Collection
from mm_milvus.store.index import INDEX_TYPES, build_index, index_params, is_stale
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.retry import POLL_S

REINDEX_TRIES = 3
SETTLE_TIMEOUT_S = 10.0


def flush_and_reindex(collection: Collection, manifest: Manifest) -> int:
    """Make what was written durable, and the index fit for it; returns the row count."""
    with collection.connection.explained(f"cannot flush collection {collection.name}"):
        collection.client.flush(collection.name)
    count = collection.count()
    _reindex_if_stale(collection, manifest, count)
    return count


def _reindex_if_stale(collection: Collection, manifest: Manifest, count: int) -> None:
    wanted = INDEX_TYPES[manifest.index_type].build(count)
    if not is_stale(collection.built_with(), wanted):
        return
    client, name, field = collection.client, collection.name, Field.EMBEDDING.value
    with collection.connection.explained(f"cannot index collection {name}"):
        for left in reversed(range(REINDEX_TRIES)):
            try:
                client.release_collection(name)
                client.drop_index(name, field)
                params = index_params(client, manifest, count)
                build_index(client, name, params, embedded=collection.connection.embedded)
                client.load_collection(name)
            except MilvusException:
                # A process that opens the data set just now loads it in between.
                if not left:
                    raise
            else:
                _wait_for_rows(collection, count)
                return


def _wait_for_rows(collection: Collection, count: int) -> None:
    """Wait until the rows are those from before the reload.

    Milvus 2.3.5, when it was busy, has shown rows for a while that were deleted before. Another
    ingest that writes meanwhile changes the count for good: so there is an end to it.
    """
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while collection.count() != count and time.monotonic() < deadline:
        time.sleep(POLL_S)
