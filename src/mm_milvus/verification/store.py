"""What the two collections tell by themselves, in one pass over each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mm_milvus.errors import ItemError
from mm_milvus.keys import (
    DIGEST_BYTES,
    Keys,
    caption_key,
    contains,
    image_key,
    key_array,
    pack_keys,
    unpack_keys,
)
from mm_milvus.limits import check_embedding
from mm_milvus.schema import Modality
from mm_milvus.store.collection import Collection
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.read import scan_embeddings, stored_rows
from mm_milvus.verification.report import MAX_EXAMPLES, Kind, VerifyReport
from mm_milvus.verification.sample import Reservoir
from mm_milvus.verification.source import SourceKeys

_KEY = re.compile(rf"[0-9a-f]{{{2 * DIGEST_BYTES}}}")

RowsToDelete = dict[Modality, list[str]]
"""Primary keys of rows to delete: an ingest writes them anew, or they are of no use to anybody."""


def check_manifests(dataset: Dataset, report: VerifyReport) -> bool:
    """Hold the two manifests against each other and the counts of rows; whether they agree."""
    of_images, of_texts = dataset.images.manifest(), dataset.texts.manifest()
    if of_images != of_texts:
        reason = "its manifest is not that of the images"
        report.add(Kind.MANIFEST, dataset.texts.name, reason)
    counts = dataset.counts()
    report.images, report.captions = counts[Modality.IMAGE], counts[Modality.TEXT]
    for collection in dataset.collections:
        count, told = counts[collection.modality], of_images.rows.get(collection.modality)
        if told is None:
            report.add(Kind.MANIFEST, collection.name, f"no ingest has finished; {count:,} rows")
        elif told != count:
            reason = f"it has {count:,} rows, and its manifest says {told:,}"
            report.add(Kind.MANIFEST, collection.name, reason)
    return not report.problems


class Scan:
    """One pass over the captions, then one over the images; keeps 16 to 32 bytes a row.

    expected  what the source has; None: there is none
    places    which rows to sample, for each collection
    spoiled   what to delete before an ingest, found on the way
    sampled   primary keys of the sample
    """

    def __init__(
        self,
        dataset: Dataset,
        expected: SourceKeys | None,
        report: VerifyReport,
        sample: int,
        advance: Callable[[int], object],
    ) -> None:
        """Read all rows."""
        self._expected = expected
        self._report = report
        self._dim = dataset.manifest.dim
        self.spoiled: RowsToDelete = {modality: [] for modality in Modality}
        self.sampled: dict[Modality, list[str]] = {modality: [] for modality in Modality}
        self._places = {modality: Reservoir(sample) for modality in Modality}
        captions = _Captions()
        for rows in self._read(dataset.texts, advance):
            captions.note(rows)
            self._compare(rows, Modality.TEXT)
        captions.settle()
        images = bytearray()
        for rows in self._read(dataset.images, advance):
            known = [row for row in rows if self._has_its_key(*row)]
            images += pack_keys(key for key, _ in known)
            self._compare(known, Modality.IMAGE)
            for key, item_id in known:
                self._check_numbers(item_id, captions.of(key))
        self._find_orphans(captions, np.sort(key_array(images)), dataset.texts)

    def _read(
        self, collection: Collection, advance: Callable[[int], object]
    ) -> Iterator[list[tuple[str, str]]]:
        """The rows of a collection, with their vectors checked."""
        modality, read = collection.modality, 0
        for batch, vectors in scan_embeddings(collection):
            read += len(batch)
            good = []
            for (key, item_id), vector in zip(batch, vectors, strict=True):
                if not _KEY.fullmatch(key):
                    self._report.add(Kind.KEY, item_id, f"a row of it has the key {key!r}")
                    self._spoil(modality, key, item_id)
                    continue
                good.append((key, item_id))
                if self._has_good_vector(modality, key, item_id, vector):
                    self._take(modality, key)
            yield good
            advance(len(batch))
        count = self._report.images if modality is Modality.IMAGE else self._report.captions
        if count > read:
            reason = f"it counts {count:,} rows, and {read:,} have keys of their own"
            self._report.add(Kind.TWICE, collection.name, reason, count - read)

    def _has_good_vector(
        self, modality: Modality, key: str, item_id: str, vector: NDArray[np.float32]
    ) -> bool:
        try:
            check_embedding(vector, self._dim)
        except ItemError as error:
            self._report.add(Kind.VECTOR, item_id, str(error))
            self._spoil(modality, key, item_id)
            return False
        return True

    def _take(self, modality: Modality, key: str) -> None:
        place, sampled = self._places[modality].next(), self.sampled[modality]
        if place is not None:
            sampled[place : place + 1] = [key]

    def _spoil(self, modality: Modality, key: str, item_id: str) -> None:
        """Delete a row, if an ingest writes its item anew."""
        if self._expected is not None and self._expected.has_item(item_id):
            self.spoiled[modality].append(key)

    def _has_its_key(self, key: str, item_id: str) -> bool:
        if key == image_key(item_id):
            return True
        self._report.add(Kind.KEY, item_id, f"its row has the key {key}, not the hash of its name")
        self._spoil(Modality.IMAGE, key, item_id)
        return False

    def _compare(self, rows: list[tuple[str, str]], modality: Modality) -> None:
        """Find the rows that the source does not have."""
        expected = self._expected
        if expected is None or not rows:
            return
        there = expected.has(key_array(pack_keys(key for key, _ in rows)))
        for (_, item_id), is_there in zip(rows, there, strict=True):
            if is_there or item_id in expected.rejected:
                continue
            if modality is Modality.TEXT and expected.has_item(item_id):
                reason = "one of its captions is stored, and not in the source"
                self._report.add(Kind.STALE, item_id, reason)
            else:
                self._report.add(Kind.EXTRA, item_id, f"its {modality} is not in the source")

    def _check_numbers(self, item_id: str, captions: set[str]) -> None:
        """Find a gap in the numbers of an item's captions; what lies behind it is spoiled."""
        for number in range(len(captions)):
            if caption_key(item_id, number) in captions:
                continue
            before = {caption_key(item_id, each) for each in range(number)}
            reason = f"it has {len(captions)} captions, and none of the number {number}"
            self._report.add(Kind.GAP, item_id, reason)
            for key in sorted(captions - before):
                self._spoil(Modality.TEXT, key, item_id)
            return

    def _find_orphans(self, captions: _Captions, images: Keys, texts: Collection) -> None:
        alone = ~contains(captions.parents, images)
        keys = unpack_keys(captions.keys[alone])
        names = {row.id: row.item_id for row in stored_rows(texts, keys[:MAX_EXAMPLES])}
        for key in keys:
            reason = "one of its captions is stored, and its image is not"
            self._report.add(Kind.ORPHAN, names.get(key, key), reason)
        if self._expected is None:
            useless = np.ones(len(keys), bool)
        else:
            useless = ~self._expected.has(captions.parents[alone])
        self.spoiled[Modality.TEXT] += [k for k, no in zip(keys, useless, strict=True) if no]


class _Captions:
    """The keys of all captions, and of the image that each belongs to; ordered by the latter."""

    def __init__(self) -> None:
        """Nothing is noted yet."""
        self._noted = bytearray(), bytearray()
        self.keys = self.parents = key_array(b"")

    def note(self, rows: list[tuple[str, str]]) -> None:
        """Take note of (id, item_id)."""
        keys, parents = self._noted
        keys += pack_keys(key for key, _ in rows)
        parents += pack_keys(image_key(item_id) for _, item_id in rows)

    def settle(self) -> None:
        """All is noted."""
        keys, parents = map(key_array, self._noted)
        order = np.argsort(parents, kind="stable")
        self.keys, self.parents = keys[order], parents[order]
        for each in self._noted:
            each.clear()

    def of(self, parent: str) -> set[str]:
        """The keys of an image's captions."""
        start, end = (
            int(np.searchsorted(self.parents, key_array(bytes.fromhex(parent)), side)[0])
            for side in ("left", "right")
        )
        return set(unpack_keys(self.keys[start:end]))
