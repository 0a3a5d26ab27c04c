"""Leave of a batch only the items that a folder of embeddings does not hold unchanged."""

from __future__ import annotations

from mm_milvus.embeddings.previous import PreviousItem, PreviousParts, signature
from mm_milvus.pipeline.batch import Batch, Item


def compare_with_parts(batch: Batch[Item], previous: PreviousParts) -> None:
    """Remove unchanged items from a batch; those that changed stay, with all of their rows.

    An item that the folder holds in another version gets the vectors of its unchanged content.
    """
    changed = []
    rows = previous.find([item.item_id for item in batch.items])
    for item, row in zip(batch.items, rows, strict=True):
        if row is None:
            changed.append(item)
        elif previous.signature(row) == _signature(item):
            batch.skipped += 1
        else:
            version = previous.item(row)
            _reuse_vectors(item, version)
            if len(item.captions) == version.captions_count and not any(
                pending.is_new for pending in item.rows()
            ):
                batch.skipped += 1
            changed.append(item)
    batch.items = changed


def _signature(item: Item) -> str:
    image_hash = item.image.content_hash if item.image is not None else ""
    captions = [str(row.content) for row in item.captions]
    return signature(item.uri, image_hash, captions, item.metadata_text)


def _reuse_vectors(item: Item, version: PreviousItem) -> None:
    if item.image is not None and item.image.content_hash == version.content_hash:
        item.image.embedding, item.image.is_new = version.image_embedding, False
    for row in item.captions:
        vector = version.captions.get(str(row.content))
        if vector is not None:
            row.embedding, row.is_new = vector, False
