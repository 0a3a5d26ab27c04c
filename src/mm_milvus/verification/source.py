"""What the data set says should be there, held against the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mm_milvus.embeddings.accept import accept_embeddings
from mm_milvus.embeddings.parts import Embeddings
from mm_milvus.errors import ImageError
from mm_milvus.images.decode import decode
from mm_milvus.images.options import DecodeOptions
from mm_milvus.keys import Keys, contains, image_key, key_array, pack_keys
from mm_milvus.pipeline.accept import accept_items
from mm_milvus.pipeline.batch import Batch, Item, PendingRow
from mm_milvus.sources.base import Source
from mm_milvus.sources.decoding import decoding_of
from mm_milvus.store.collection import Collection
from mm_milvus.store.dataset import Dataset
from mm_milvus.verification.report import Kind, VerifyReport
from mm_milvus.verification.sample import Reservoir

Hashes = dict[str, tuple[str, str]]


class SourceKeys:
    """The primary keys of all rows that a source has, and the names of what it rejects."""

    def __init__(self) -> None:
        """Nothing is expected yet."""
        self._keys = bytearray()
        self._ordered: Keys = key_array(b"")
        self.rejected: set[str] = set()

    def note(self, item: Item) -> None:
        """Expect all rows of an item."""
        self._keys += pack_keys(row.id for row in item.rows())

    def settle(self) -> None:
        """All is noted."""
        self._ordered = np.sort(key_array(self._keys))
        self._keys.clear()

    def has_item(self, item_id: str) -> bool:
        """Whether the source has an item, and would store it."""
        return bool(self.has(key_array(pack_keys([image_key(item_id)])))[0])

    def has(self, digests: Keys) -> NDArray[np.bool_]:
        """For each primary key whether the source has its row."""
        return contains(digests, self._ordered)


def compare(
    source: Source | Embeddings,
    dataset: Dataset,
    report: VerifyReport,
    sample: int,
    advance: Callable[[int], object],
) -> tuple[SourceKeys, list[Item]]:
    """Find what is missing or stale; what an ingest would turn away is neither.

    sample   how many of the items that are stored as they are come back
    advance  is told how many items were read
    """
    expected, places = SourceKeys(), Reservoir(sample)
    sampled: list[Item] = []
    decoding = decoding_of(source)
    report.items = 0
    for flow in _flows(source, dataset):
        report.items += flow.read
        report.rejected += len(flow.rejects)
        expected.rejected.update(each.item_id for each in flow.rejects)
        images = _stored(dataset.images, flow, lambda item: [item.image] if item.image else [])
        texts = _stored(dataset.texts, flow, lambda item: item.captions)
        for item in flow.items:
            if _is_turned_away(item, images, decoding):
                report.rejected += 1
                expected.rejected.add(item.item_id)
                continue
            expected.note(item)
            if _hold(item, images, texts, report) and (place := places.next()) is not None:
                sampled[place : place + 1] = [item]
        advance(flow.read)
    expected.settle()
    return expected, sampled


def _flows(source: Source | Embeddings, dataset: Dataset) -> Iterator[Batch[Item]]:
    columns, document = dataset.manifest.columns, dataset.manifest.document
    if isinstance(source, Embeddings):
        return accept_embeddings(source.batches(), columns, dataset.manifest.dim)
    return accept_items(source.batches(), columns, document)


def _stored(
    collection: Collection, flow: Batch[Item], rows_of: Callable[[Item], list[PendingRow]]
) -> Hashes:
    return collection.hashes([row.id for item in flow.items for row in rows_of(item)])


def _is_turned_away(item: Item, images: Hashes, decoding: DecodeOptions) -> bool:
    """Whether the item's image would be encoded, and cannot be."""
    row = item.image
    if row is None or row.embedding is not None or not isinstance(row.content, bytes):
        return False
    if images.get(row.id, ("", ""))[0] == row.content_hash:
        return False
    try:
        decode(row.content, at_least=1, options=decoding)
    except ImageError:
        return True
    return False


def _hold(item: Item, images: Hashes, texts: Hashes, report: VerifyReport) -> bool:
    """Hold an item against what is stored of it; whether all of it is there, as it is."""
    whole = True
    for number, row in enumerate(item.rows()):
        stored = (images if row is item.image else texts).get(row.id)
        if stored == (row.content_hash, item.detail_hash):
            continue
        whole = False
        what = "its image" if row is item.image else f"its caption {number - 1}"
        if stored is None:
            report.add(Kind.MISSING, item.item_id, f"{what} is not stored")
        elif stored[0] == row.content_hash:
            report.add(Kind.STALE, item.item_id, f"{what} is stored with other metadata")
        else:
            report.add(Kind.STALE, item.item_id, f"{what} is stored in another version")
    return whole
