"""Delete stored rows that are no longer in the source."""

from __future__ import annotations

from mm_milvus.pipeline.plan import SeenKeys
from mm_milvus.store.dataset import Dataset


def prune_store(dataset: Dataset, seen: SeenKeys, *, dry_run: bool) -> int:
    """Delete the rows that left the source; return how many images and captions these are."""
    pruned = 0
    for collection in dataset.collections:
        # All keys are collected before the first deletion: a scan does not survive that of a row.
        missing = [key for batch in seen.missing(collection.scan()) for key, _ in batch]
        if not dry_run:
            collection.delete(missing)
        pruned += len(missing)
    return pruned
