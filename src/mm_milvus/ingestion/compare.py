"""Leave of a batch only the rows that the store does not hold unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from mm_milvus.keys import caption_key, image_key
from mm_milvus.pipeline.batch import Batch, Item, PendingRow
from mm_milvus.schema import Modality
from mm_milvus.store.collection import Collection
from mm_milvus.store.dataset import Dataset

StoredHashes = Mapping[str, tuple[str, str]]
"""Content hash and detail hash of stored rows, by primary key."""


def compare_with_store(batch: Batch[Item], dataset: Dataset) -> None:
    """Remove from a batch the rows, and the items, that are stored unchanged.

    A row whose content is unchanged and whose metadata is not keeps its stored vector.
    """
    images = [(item, item.image) for item in batch.items if item.image is not None]
    without = {image_key(item.item_id): item for item in batch.items if item.image is None}
    captions = [(item, row) for item in batch.items for row in item.captions]
    # Captions are numbered without gaps: the number after the last is stored only if stale.
    ends = {caption_key(item.item_id, len(item.captions)): item for item in batch.items}
    with ThreadPoolExecutor(1) as pool:
        image_hashes = pool.submit(
            dataset.images.hashes, [*(row.id for _, row in images), *without]
        )
        text_hashes = dataset.texts.hashes([*(row.id for _, row in captions), *ends])
        changed_images = _changed(dataset.images, images, image_hashes.result())
    for key in without.keys() & image_hashes.result().keys():
        without[key].stale[Modality.IMAGE] = [key]
    for item in batch.items:
        if item.image is not None and item.image.id not in changed_images:
            item.image = None
    changed_captions = _changed(dataset.texts, captions, text_hashes)
    _find_stale({key: ends[key] for key in ends.keys() & text_hashes.keys()}, dataset.texts)
    changed = []
    for item in batch.items:
        item.captions = [row for row in item.captions if row.id in changed_captions]
        rows = item.rows()
        if not item.stale and not any(row.is_new for row in rows):
            batch.skipped += 1
        if rows or item.stale:
            changed.append(item)
    batch.items = changed


def _changed(
    collection: Collection, rows: list[tuple[Item, PendingRow]], stored: StoredHashes
) -> set[str]:
    """Return the keys of the rows to write; set the stored vectors that can be used again."""
    changed, reusable = set(), []
    for item, row in rows:
        if stored.get(row.id) == (row.content_hash, item.detail_hash):
            continue
        changed.add(row.id)
        if row.id in stored and stored[row.id][0] == row.content_hash:
            reusable.append(row)
    vectors = collection.embeddings([row.id for row in reusable if row.embedding is None])
    for row in reusable:
        if row.embedding is None:
            row.embedding = vectors.get(row.id)
        row.is_new = row.embedding is None
    return changed


def _find_stale(ends: Mapping[str, Item], texts: Collection) -> None:
    """Give each item the keys of the stored captions after its last; `ends` has the first."""
    counts = {item.item_id: len(item.captions) for item in ends.values()}
    while ends:
        following = {}
        for key, item in ends.items():
            item.stale.setdefault(Modality.TEXT, []).append(key)
            counts[item.item_id] += 1
            following[caption_key(item.item_id, counts[item.item_id])] = item
        stored = texts.hashes(list(following))
        ends = {key: following[key] for key in stored}
