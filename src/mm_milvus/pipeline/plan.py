"""Leave of each batch only the items that changed, and record the keys of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from mm_milvus.keys import contains, key_array, pack_keys
from mm_milvus.pipeline.batch import Batch, Item, gather

COMPARED_ITEMS = 1000
COMPARED_BYTES = 16 * 2**20

Compare = Callable[[Batch[Item]], None]
"""Removes unchanged items and rows from a batch, and sets the vectors that can be used again."""

StoredKey = tuple[str, str]
"""The primary key of a stored row, and its item_id."""


class SeenKeys:
    """The primary keys of all rows of a source, 16 bytes each: 160 MB for ten million."""

    def __init__(self) -> None:
        """Start with no keys."""
        self._packed = bytearray()
        self._rejected: set[str] = set()

    def record(self, batch: Batch[Item]) -> None:
        """Record the keys of a batch that has just been read."""
        for item in batch.items:
            self._packed += pack_keys(row.id for row in item.rows())
        # An item that cannot be read today is still in the source: its stored rows stay.
        self._rejected.update(reject.item_id for reject in batch.rejects)

    def missing(self, batches: Iterable[list[StoredKey]]) -> Iterator[list[StoredKey]]:
        """Yield, per batch of stored rows, those that are no longer in the source."""
        seen = np.sort(key_array(self._packed))
        for batch in batches:
            is_seen = contains(key_array(pack_keys(key for key, _ in batch)), seen)
            yield [
                (key, item_id)
                for (key, item_id), in_source in zip(batch, is_seen, strict=True)
                if not in_source and item_id not in self._rejected
            ]


def plan(
    batches: Iterator[Batch[Item]], compare: Compare | None, seen: SeenKeys | None
) -> Iterator[Batch[Item]]:
    """Leave of each batch only what must be encoded or written.

    Args:
        batches: Items with all of their rows.
        compare: Removes what is already stored; None where nothing is stored yet. It is given many
            items per call, since each lookup has a fixed cost.
        seen: Records all keys, for pruning; None: nothing is pruned.

    Yields:
        The batches with the items and rows that are left.
    """
    if compare is not None:
        batches = gather(batches, COMPARED_ITEMS, COMPARED_BYTES, _file_size)
    for batch in batches:
        if seen is not None:
            seen.record(batch)
        if compare is not None:
            compare(batch)
        yield batch


def _file_size(item: Item) -> int:
    return len(item.image.content) if item.image is not None else 0
