"""The rows of the store, compared with each other and with the source, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from mm_milvus.arrays import Vector
from mm_milvus.errors import ItemError
from mm_milvus.keys import (
    Keys,
    caption_key,
    contains,
    image_key,
    is_key,
    key_array,
    pack_keys,
    unpack_keys,
)
from mm_milvus.limits import check_embedding
from mm_milvus.pipeline.plan import SeenKeys
from mm_milvus.schema import Field, Modality
from mm_milvus.store.collection import LOOKUP_ROWS, Collection
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.read import scan_embeddings
from mm_milvus.verification.report import ProblemKind, VerifyReport
from mm_milvus.verification.sample import Reservoir

RowsToDelete = dict[Modality, list[str]]
"""Primary keys of rows that a repair deletes: either an ingest writes them again, or no search
should find them."""


def check_manifests(dataset: Dataset, report: VerifyReport) -> bool:
    """Compare the two manifests with each other and with the row counts.

    Args:
        dataset: An open dataset.
        report: Filled in.

    Returns:
        Whether they agree.
    """
    of_images, of_texts = dataset.images.manifest(), dataset.texts.manifest()
    if of_images != of_texts:
        reason = "its manifest is not that of the images"
        report.add(ProblemKind.MANIFEST, dataset.texts.name, reason)
    counts = dataset.counts()
    report.images, report.captions = counts[Modality.IMAGE], counts[Modality.TEXT]
    for collection in dataset.collections:
        count = counts[collection.modality]
        recorded = of_images.rows.get(collection.modality)
        if recorded is None:
            reason = f"no ingest has finished; {count:,} rows"
            report.add(ProblemKind.MANIFEST, collection.name, reason)
        elif recorded != count:
            reason = f"it has {count:,} rows, and its manifest says {recorded:,}"
            report.add(ProblemKind.MANIFEST, collection.name, reason)
    return not report.problems


class Scan:
    """One pass over the captions, then one over the images; keeps 16 to 32 bytes per row.

    Attributes:
        to_delete: Rows to delete before the repair ingests.
    """

    def __init__(
        self,
        dataset: Dataset,
        source_keys: SeenKeys | None,
        report: VerifyReport,
        sample: int,
        advance: Callable[[int], object],
    ) -> None:
        """Read all rows.

        Args:
            dataset: An open dataset.
            source_keys: The keys of the source; None without a source.
            report: Filled in.
            sample: Number of rows to sample per collection.
            advance: Called with the number of rows of each batch.
        """
        self._source_keys = source_keys
        self._report = report
        self._dim = dataset.manifest.dim
        self.to_delete: RowsToDelete = {modality: [] for modality in Modality}
        self._samples: dict[Modality, Reservoir[str]] = {
            modality: Reservoir(sample) for modality in Modality
        }
        captions = _CaptionKeys()
        for rows in self._read(dataset.texts, advance):
            captions.add(rows)
            self._compare(rows, Modality.TEXT)
        captions.sort()
        images = bytearray()
        for rows in self._read(dataset.images, advance):
            keyed_rows = [row for row in rows if self._has_its_key(*row)]
            images += pack_keys(key for key, _ in keyed_rows)
            self._compare(keyed_rows, Modality.IMAGE)
            for key, item_id in keyed_rows:
                self._check_numbers(item_id, captions.of(key))
        self._find_orphans(captions, np.sort(key_array(images)), dataset.texts)

    def sample(self, modality: Modality) -> list[str]:
        """Return the primary keys of a random sample of rows with valid vectors."""
        return self._samples[modality].values

    def _read(
        self, collection: Collection, advance: Callable[[int], object]
    ) -> Iterator[list[tuple[str, str]]]:
        """Yield (id, item_id) of the rows with keys of the right form; check their vectors."""
        modality, read = collection.modality, 0
        for batch, vectors in scan_embeddings(collection):
            read += len(batch)
            rows = []
            for (key, item_id), vector in zip(batch, vectors, strict=True):
                if not is_key(key):
                    reason = f"one of its rows has the key {key!r}"
                    self._report.add(ProblemKind.KEY, item_id, reason)
                    self._delete(modality, key, item_id)
                    continue
                rows.append((key, item_id))
                if self._has_valid_vector(modality, key, item_id, vector):
                    self._samples[modality].offer(key)
            yield rows
            advance(len(batch))
        count = self._report.images if modality is Modality.IMAGE else self._report.captions
        if count > read:
            reason = f"it counts {count:,} rows, and {read:,} have distinct keys"
            self._report.add(ProblemKind.TWICE, collection.name, reason, count - read)

    def _has_valid_vector(self, modality: Modality, key: str, item_id: str, vector: Vector) -> bool:
        try:
            check_embedding(vector, self._dim)
        except ItemError as error:
            self._report.add(ProblemKind.VECTOR, item_id, str(error))
            self._delete(modality, key, item_id)
            return False
        return True

    def _delete(self, modality: Modality, key: str, item_id: str) -> None:
        """Delete a row in a repair, if an ingest writes its item again."""
        if self._source_keys is not None and self._source_keys.has_item(item_id):
            self.to_delete[modality].append(key)

    def _has_its_key(self, key: str, item_id: str) -> bool:
        if key == image_key(item_id):
            return True
        reason = f"its row has the key {key}, which is not the hash of its name"
        self._report.add(ProblemKind.KEY, item_id, reason)
        self._delete(Modality.IMAGE, key, item_id)
        return False

    def _compare(self, rows: list[tuple[str, str]], modality: Modality) -> None:
        """Report the rows that the source does not have."""
        source_keys = self._source_keys
        if source_keys is None or not rows:
            return
        in_source = source_keys.has(key_array(pack_keys(key for key, _ in rows)))
        for (_, item_id), is_in_source in zip(rows, in_source, strict=True):
            if is_in_source or item_id in source_keys.rejected:
                continue
            if source_keys.has_item(item_id):
                part = "one of its captions" if modality is Modality.TEXT else "its image"
                reason = f"{part} is stored, and not in the source"
                self._report.add(ProblemKind.STALE, item_id, reason)
            else:
                reason = f"its {modality} is not in the source"
                self._report.add(ProblemKind.EXTRA, item_id, reason)

    def _check_numbers(self, item_id: str, captions: set[str]) -> None:
        """Report a gap in the numbers of an item's captions; delete the captions after it."""
        for number in range(len(captions)):
            if caption_key(item_id, number) in captions:
                continue
            before_gap = {caption_key(item_id, earlier) for earlier in range(number)}
            reason = f"it has {len(captions)} captions, and none of the number {number}"
            self._report.add(ProblemKind.GAP, item_id, reason)
            for key in sorted(captions - before_gap):
                self._delete(Modality.TEXT, key, item_id)
            return

    def _find_orphans(self, captions: _CaptionKeys, images: Keys, texts: Collection) -> None:
        """Report captions whose image is lost; delete them unless an ingest stores the image.

        The captions of an item without an image have no `uri`: they have lost nothing.
        """
        has_no_image = ~contains(captions.parents, images)
        keys, parents = captions.keys[has_no_image], captions.parents[has_no_image]
        checked = ""
        for start in range(0, len(keys), LOOKUP_ROWS):
            part = slice(start, start + LOOKUP_ROWS)
            ids = unpack_keys(keys[part])
            rows = {
                row[Field.ID]: (row[Field.ITEM_ID], row[Field.URI])
                for row in texts.get(ids, [Field.ITEM_ID, Field.URI])
            }
            for key, parent in zip(ids, unpack_keys(parents[part]), strict=True):
                item_id, uri = rows.get(key, (key, ""))
                if uri:
                    reason = "one of its captions is stored, and its image is not"
                    self._report.add(ProblemKind.ORPHAN, item_id, reason)
                    self._delete_orphan(key, parent)
                elif parent != checked:
                    self._check_numbers(item_id, captions.of(parent))
                    checked = parent

    def _delete_orphan(self, key: str, parent: str) -> None:
        source_keys = self._source_keys
        if source_keys is None or not source_keys.has(key_array(pack_keys([parent])))[0]:
            self.to_delete[Modality.TEXT].append(key)


class _CaptionKeys:
    """The keys of all captions and of their images: add all, sort, then look up by image.

    Attributes:
        keys: Keys of captions, (n,), ordered by their image once they are sorted.
        parents: Keys of their images, (n,).
    """

    def __init__(self) -> None:
        """Start without keys."""
        self._packed = bytearray(), bytearray()
        self.keys = self.parents = key_array(b"")

    def add(self, rows: list[tuple[str, str]]) -> None:
        """Add captions, as (id, item_id)."""
        keys, parents = self._packed
        keys += pack_keys(key for key, _ in rows)
        parents += pack_keys(image_key(item_id) for _, item_id in rows)

    def sort(self) -> None:
        """Sort the keys, once all are added."""
        keys, parents = map(key_array, self._packed)
        order = np.argsort(parents, kind="stable")
        self.keys, self.parents = keys[order], parents[order]
        for packed in self._packed:
            packed.clear()

    def of(self, parent: str) -> set[str]:
        """Return the keys of an image's captions."""
        start, end = (
            int(np.searchsorted(self.parents, key_array(bytes.fromhex(parent)), side)[0])
            for side in ("left", "right")
        )
        return set(unpack_keys(self.keys[start:end]))
