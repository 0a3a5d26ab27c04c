"""What the store holds and the data set no longer has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mm_milvus.keys import DIGEST_BYTES
from mm_milvus.pipeline.flow import Flow
from mm_milvus.store import Collection, Dataset


class Seen:
    """The ids of all rows of a data set, 16 bytes each: 160 MB for ten million."""

    def __init__(self) -> None:
        """Nothing is seen yet."""
        self._digests = bytearray()
        self._rejected: set[str] = set()

    def note(self, flow: Flow) -> None:
        """Take note of a flow that has just been read."""
        for item in flow.items:
            if item.image is not None:
                self._digests += bytes.fromhex(item.image.id)
            for row in item.captions:
                self._digests += bytes.fromhex(row.id)
        # An item that cannot be read today has not left the data set: what is stored of it stays.
        self._rejected.update(reject.item_id for reject in flow.rejects)

    def gone(self, collection: Collection) -> Iterator[list[tuple[str, str]]]:
        """The (id, item_id) of stored rows that were not seen, in lists."""
        digest = np.dtype((np.void, DIGEST_BYTES))
        known = np.sort(np.frombuffer(bytes(self._digests), dtype=digest))
        for batch in collection.scan():
            ids = np.frombuffer(bytes.fromhex("".join(key for key, _ in batch)), dtype=digest)
            absent = ~np.isin(ids, known)
            yield [
                row
                for row, is_absent in zip(batch, absent, strict=True)
                if is_absent and row[1] not in self._rejected
            ]


def prune(dataset: Dataset, seen: Seen, *, dry_run: bool) -> int:
    """Delete the rows that left the data set; returns how many items and captions went."""
    pruned = 0
    for collection in dataset.collections:
        # All is collected before the first deletion: a scan does not survive its rows' deletion.
        gone = [key for batch in seen.gone(collection) for key, _ in batch]
        if not dry_run:
            collection.delete(gone)
        pruned += len(gone)
    return pruned
