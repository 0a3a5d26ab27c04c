"""What is stored, or encoded, and the data set no longer has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from mm_milvus.digests import array, is_in, pack
from mm_milvus.embeddings import Embeddings, Part, rewrite_part
from mm_milvus.keys import image_key
from mm_milvus.pipeline.flow import Flow
from mm_milvus.store import Dataset


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

    def gone(self, batches: Iterable[list[tuple[str, str]]]) -> Iterator[list[tuple[str, str]]]:
        """Of each list of (id, item_id) those that were not seen."""
        known = np.sort(array(self._digests))
        for batch in batches:
            found = is_in(array(pack(key for key, _ in batch)), known)
            yield [
                row
                for row, is_there in zip(batch, found, strict=True)
                if not is_there and row[1] not in self._rejected
            ]


def prune_store(dataset: Dataset, seen: Seen, *, dry_run: bool) -> int:
    """Delete the rows that left the data set; returns how many items and captions went."""
    pruned = 0
    for collection in dataset.collections:
        # All is collected before the first deletion: a scan does not survive its rows' deletion.
        gone = [key for batch in seen.gone(collection.scan()) for key, _ in batch]
        if not dry_run:
            collection.delete(gone)
        pruned += len(gone)
    return pruned


def prune_parts(embeddings: Embeddings, seen: Seen) -> int:
    """Delete what left the data set, and what was encoded anew since.

    Returns how many items and captions left the data set. Each part is replaced by itself, the
    former version of an item never before the latter is there.
    """
    pruned, start = 0, 0
    latest = embeddings.index().latest()
    for part, gone in zip(embeddings.parts, seen.gone(map(_rows, embeddings.parts)), strict=True):
        item_ids = [item_id for ids in part.column("item_id") for item_id in ids]
        counts = [len(captions) for lists in part.column("captions") for captions in lists]
        absent = {item_id for _, item_id in gone}
        current = latest[start : start + part.rows].tolist()
        start += part.rows
        keep = [
            each and item_id not in absent for each, item_id in zip(current, item_ids, strict=True)
        ]
        pruned += sum(
            1 + captions
            for captions, item_id, each in zip(counts, item_ids, current, strict=True)
            if each and item_id in absent
        )
        rewrite_part(part, keep)
    return pruned


def _rows(part: Part) -> list[tuple[str, str]]:
    """The (id, item_id) of a part's rows."""
    return [(image_key(item_id), item_id) for ids in part.column("item_id") for item_id in ids]
