"""The end of an ingest: flush, and an index that fits the row count."""

from __future__ import annotations

from pymilvus.exceptions import MilvusException

from mm_milvus.schema import Field
from mm_milvus.store.collection import Collection
from mm_milvus.store.index import INDEX_TYPES, index_params, is_stale
from mm_milvus.store.manifest import Manifest

REINDEX_TRIES = 3


def settle(collection: Collection, manifest: Manifest) -> int:
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
                client.create_index(name, index_params(client, manifest, count))
                client.load_collection(name)
            except MilvusException:
                # A process that opens the data set just now loads it in between.
                if not left:
                    raise
            else:
                return
