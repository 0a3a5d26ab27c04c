"""Leave of each batch only the items that changed, and record the keys of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mm_milvus.keys import Keys, caption_key, contains, image_key, key_array, pack_keys
from mm_milvus.pipeline.batch import Batch, Item, gather

COMPARED_ITEMS = 1000
COMPARED_BYTES = 16 * 2**20

Compare = Callable[[Batch[Item]], None]
"""Removes unchanged items and rows from a batch, and sets the vectors that can be used again."""

StoredKey = tuple[str, str]
"""The primary key of a stored row, and its item_id."""


class SeenKeys:
    """The primary keys of all rows of a source: add all items, then look keys up.

    They take 16 bytes each: 160 MB for ten million.

    Attributes:
        rejected: The item_ids of items and captions that an ingest rejects.
    """

    def __init__(self) -> None:
        """Start with no keys."""
        self.rejected: set[str] = set()
        self._packed = bytearray()

    def add(self, item: Item) -> None:
        """Add the keys of all rows of an item."""
        self._packed += pack_keys(row.id for row in item.rows())

    def record(self, batch: Batch[Item]) -> None:
        """Record the keys of a batch that has just been read."""
        for item in batch.items:
            self.add(item)
        # An item that cannot be read today is still in the source: its stored rows stay.
        self.rejected.update(reject.item_id for reject in batch.rejects)

    def has(self, keys: Keys) -> NDArray[np.bool_]:
        """Return for each primary key whether the source has its row: (n,)."""
        return contains(keys, self._ordered)

    def has_item(self, item_id: str) -> bool:
        """Return whether the source has an item, and an ingest would store it."""
        keys = [image_key(item_id), caption_key(item_id, 0)]
        return bool(self.has(key_array(pack_keys(keys))).any())

    def missing(self, batches: Iterable[list[StoredKey]]) -> Iterator[list[StoredKey]]:
        """Yield, per batch of stored rows, those that are no longer in the source."""
        for batch in batches:
            is_seen = self.has(key_array(pack_keys(key for key, _ in batch)))
            yield [
                (key, item_id)
                for (key, item_id), in_source in zip(batch, is_seen, strict=True)
                if not in_source and item_id not in self.rejected
            ]

    @cached_property
    def _ordered(self) -> Keys:
        """All keys in order, sorted at the first lookup."""
        ordered = np.sort(key_array(self._packed))
        self._packed.clear()
        return ordered


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
