"""Encode some rows again, to check that the stored vectors are those of their content."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

import numpy as np

from mm_milvus.arrays import Vector
from mm_milvus.encoders.base import Encoder
from mm_milvus.errors import SourceError
from mm_milvus.files import read_image
from mm_milvus.images.hashing import image_hash
from mm_milvus.images.options import DEFAULTS, DecodeOptions
from mm_milvus.ingestion.remembered import stored_options
from mm_milvus.pipeline.batch import Batch, Item, PendingRow
from mm_milvus.pipeline.document import document_hash, document_texts
from mm_milvus.pipeline.stages import decode, encode
from mm_milvus.schema import Modality
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.read import stored_rows
from mm_milvus.store.rows import Row
from mm_milvus.verification.report import ProblemKind, VerifyReport

MIN_COSINE = 0.99
"""Vectors of equal content differ by less where another device, precision or decoder made one of
them: compact gives a cosine of 0.9999 and more, and scaled JPEG decoding costs at most 0.005."""

T = TypeVar("T")


class Reservoir(Generic[T]):
    """A uniform random sample of a stream (algorithm R; Vitter, 1985).

    Attributes:
        values: The sample.
    """

    def __init__(self, size: int) -> None:
        """Sample at most `size` values; which ones depends on their order alone."""
        self.values: list[T] = []
        self._size = size
        self._offered = 0
        self._random = random.Random(0)  # noqa: S311 - no secret

    def offer(self, value: T) -> None:
        """Add a value to the sample, perhaps in place of another, or leave it out."""
        self._offered += 1
        if len(self.values) < self._size:
            self.values.append(value)
            return
        place = self._random.randrange(self._offered)
        if place < self._size:
            self.values[place] = value


def stored_items(dataset: Dataset, image_ids: list[str], text_ids: list[str]) -> list[Item]:
    """Return stored rows as items to encode, without images that have changed or cannot be read."""
    images = (_image_item(row, dataset.manifest) for row in stored_rows(dataset.images, image_ids))
    texts = (_text_item(row) for row in stored_rows(dataset.texts, text_ids))
    return [item for item in (*images, *texts) if item is not None]


def _image_item(row: Row, manifest: Manifest) -> Item | None:
    try:
        data = read_image(row.uri)
    except SourceError:
        return None
    fields = document_texts(row.metadata, manifest.document)
    digest = image_hash(data, stored_options(manifest).decoding)
    if manifest.document:
        digest = document_hash(digest, fields, manifest.document)
    if digest != row.content_hash:
        return None
    item = _item(row)
    item.image = PendingRow(row.id, data, digest)
    item.fields = fields
    return item


def _text_item(row: Row) -> Item:
    item = _item(row)
    item.captions = [PendingRow(row.id, row.caption or "", row.content_hash)]
    return item


def _item(row: Row) -> Item:
    return Item(row.item_id, row.uri, dict(row.metadata), "", row.detail_hash, None, [])


def encode_again(
    items: list[Item],
    encoder: Encoder | None,
    dataset: Dataset,
    report: VerifyReport,
    decoding: DecodeOptions = DEFAULTS,
) -> list[tuple[Modality, str]]:
    """Compare the vectors of items with the stored ones, and report those that differ.

    Args:
        items: The items.
        encoder: Encodes them; None where they have their vectors already.
        dataset: Where their rows are stored.
        report: Filled in.
        decoding: How images are decoded.

    Returns:
        The rows that differ, as modality and primary key.
    """
    batches: Iterator[Batch[Item]] = iter([Batch(items)])
    if encoder is not None:
        batches = decode(batches, encoder.spec.preprocessing, encoder.batch_size, decoding)
        document = dataset.manifest.document
        batches = encode(batches, encoder, document, encoder.batch_size, threading.Event())
    differing = []
    for batch in batches:
        for collection in dataset.collections:
            rows = {
                row.id: (item, row)
                for item in batch.items
                for row in item.rows_of(collection.modality)
            }
            for key, vector in collection.embeddings(list(rows)).items():
                item, row = rows[key]
                cosine = _cosine(vector, row)
                report.sampled += 1
                report.least_cosine = min(cosine, report.least_cosine or 1.0)
                if not cosine >= MIN_COSINE:
                    differing.append((collection.modality, key))
                    reason = (
                        f"the stored vector of its {collection.modality} and a new one have "
                        f"the cosine {cosine:.4f}"
                    )
                    report.add(ProblemKind.ENCODING, item.item_id, reason)
    return differing


def _cosine(stored: Vector, row: PendingRow) -> float:
    return float(np.dot(stored, row.embedding)) if row.embedding is not None else 0.0
