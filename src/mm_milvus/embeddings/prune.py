"""Delete what is encoded and no longer in the source."""

from __future__ import annotations

from itertools import tee

from mm_milvus.embeddings.parts import Embeddings, Part
from mm_milvus.embeddings.writer import rewrite_part
from mm_milvus.keys import image_key
from mm_milvus.pipeline.plan import SeenKeys, StoredKey


def prune_parts(embeddings: Embeddings, seen: SeenKeys) -> int:
    """Delete items that left the source, and versions that were encoded again since.

    Each part is replaced by itself, so that the previous version of an item never disappears
    before the new one is there.

    Returns:
        How many images and captions left the source.
    """
    pruned, start = 0, 0
    latest = embeddings.latest_rows().mask()
    stored, compared = tee(map(_keys, embeddings.parts))
    missing = seen.missing(compared)
    for part, rows, missing_rows in zip(embeddings.parts, stored, missing, strict=True):
        item_ids = [item_id for _, item_id in rows]
        counts = [len(captions) for lists in part.column("captions") for captions in lists]
        absent = {item_id for _, item_id in missing_rows}
        current = latest[start : start + part.rows].tolist()
        start += part.rows
        keep = [
            is_latest and item_id not in absent
            for is_latest, item_id in zip(current, item_ids, strict=True)
        ]
        pruned += sum(
            1 + captions
            for captions, item_id, is_latest in zip(counts, item_ids, current, strict=True)
            if is_latest and item_id in absent
        )
        rewrite_part(part, keep)
    return pruned


def _keys(part: Part) -> list[StoredKey]:
    return [(image_key(item_id), item_id) for ids in part.column("item_id") for item_id in ids]
