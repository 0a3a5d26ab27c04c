"""Delete items from the collections of every encoder, and keep the manifests' counts right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from mm_milvus.items.pages import item_ids
from mm_milvus.items.read import chunks
from mm_milvus.keys import caption_key, image_key
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.index import INDEX_TYPES, is_stale
from mm_milvus.store.read import captions_in_order

CHUNK_ITEMS = 1000


def delete_items(
    indexes: Sequence[Dataset], *, ids: Iterable[str] | None = None, expression: str = ""
) -> int:
    """Delete items by their ids, or those that meet an expression.

    Whatever ends the call, the same call deletes the rest. A later ingest of a source that has the
    items brings them back.

    Args:
        indexes: The dataset, as each of its encoders indexed it.
        ids: The items, each once; ids that are not stored are no error (default: by the
            expression).
        expression: A Milvus boolean expression.

    Returns:
        How many items were deleted.

    Raises:
        QueryError: When the engine refuses the expression.
        StoreError: When the engine fails.
    """
    # Where an ingest did not finish, the counts differ, and the next ingest has to see that.
    current = [replace(index, manifest=index.images.manifest()) for index in indexes]
    finished = [index for index in current if index.manifest.rows == index.counts()]
    try:
        if ids is not None:
            return _delete_all(indexes, ids)
        deleted = 0
        # A search finds the items by the first index, so that is read, and emptied, last.
        for index in reversed(indexes):
            for read in indexes:
                read.counts()  # after a count, reads see what was deleted
            deleted += _delete_all(indexes, item_ids(index, expression))
        return deleted
    finally:
        for index in finished:
            _update_counts(index)


def _delete_all(indexes: Sequence[Dataset], ids: Iterable[str]) -> int:
    return sum(_delete(indexes, chunk) for chunk in chunks(iter(ids), CHUNK_ITEMS))


def _delete(indexes: Sequence[Dataset], ids: Sequence[str]) -> int:
    existing: set[str] = set()
    for index in reversed(indexes):
        captions = captions_in_order(ids, partial(index.texts.by_id, fields=[]))
        stored = index.images.by_id([*map(image_key, ids)], [])
        images = {item_id for item_id in ids if image_key(item_id) in stored}
        # By its image, or by its first caption, an item is found again after an interruption.
        following = (
            caption_key(item_id, number)
            for item_id, keys in captions.items()
            for number in range(1, len(keys))
        )
        index.texts.delete([*following])
        index.texts.delete([caption_key(item_id, 0) for item_id in captions])
        index.images.delete([image_key(item_id) for item_id in images])
        existing |= images | captions.keys()
    return len(existing)


def _update_counts(index: Dataset) -> None:
    """Write the row counts to the manifest; index again where so few rows are left."""
    rows = index.counts()
    if rows == index.manifest.rows:
        return
    build = INDEX_TYPES[index.manifest.index_type].build
    if any(
        is_stale(collection.built_with(), build(rows[collection.modality.value]))
        for collection in index.collections
    ):
        index.finish()
    else:
        index.with_manifest(replace(index.manifest, rows=rows))
