"""Some rows encoded again, to tell whether the stored vectors are those of the content."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from mm_milvus.encoders.base import Encoder
from mm_milvus.errors import SourceError
from mm_milvus.files import read_image
from mm_milvus.images.options import DEFAULTS, DecodeOptions
from mm_milvus.keys import content_hash
from mm_milvus.pipeline.batch import Batch, Item, PendingRow
from mm_milvus.pipeline.document import document_hash, document_texts
from mm_milvus.pipeline.stages import decode, encode
from mm_milvus.schema import Modality
from mm_milvus.store.collection import Collection
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.read import stored_rows
from mm_milvus.store.rows import Row
from mm_milvus.verification.report import Kind, VerifyReport

SAME_COSINE = 0.99
"""What is left of equality where another device, precision or decoder made the vector: compact
gives 0.9999 and more, and scaled JPEG decoding costs 0.005 at most."""


class Reservoir:
    """Samples a stream: each row is as likely as any other (Vitter, 1985, algorithm R)."""

    def __init__(self, size: int) -> None:
        """Which rows are taken depends on their order alone."""
        self._size = size
        self._offered = 0
        self._random = random.Random(0)  # noqa: S311 - no secret

    def next(self) -> int | None:
        """Which of the `size` places the next row gets; None: it is not taken."""
        self._offered += 1
        if self._offered <= self._size:
            return self._offered - 1
        place = self._random.randrange(self._offered)
        return place if place < self._size else None


def stored_items(dataset: Dataset, image_ids: list[str], text_ids: list[str]) -> list[Item]:
    """Rows of the store as items to encode; not the images that cannot be read as they were."""
    images = (
        _image_item(row, dataset.manifest.document)
        for row in stored_rows(dataset.images, image_ids)
    )
    texts = (_text_item(row) for row in stored_rows(dataset.texts, text_ids))
    return [item for item in (*images, *texts) if item is not None]


def _image_item(row: Row, document: Mapping[str, float]) -> Item | None:
    try:
        data = read_image(row.uri)
    except SourceError:
        return None
    fields = document_texts(row.metadata, document)
    digest = content_hash(data)
    if document:
        digest = document_hash(digest, fields, document)
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
    """Hold the items' vectors against those that are stored; the primary keys of rows that differ.

    encoder  None where the items bring their vectors
    """
    flows: Iterator[Batch[Item]] = iter([Batch(items)])
    if encoder is not None:
        flows = decode(flows, encoder.spec.preprocessing, encoder.batch_size, decoding)
        document = dataset.manifest.document
        flows = encode(flows, encoder, document, encoder.batch_size, threading.Event())
    wrong = []
    for flow in flows:
        for collection in dataset.collections:
            rows = {row.id: (item, row) for item in flow.items for row in _rows(item, collection)}
            stored = collection.embeddings(list(rows))
            for key, vector in stored.items():
                item, row = rows[key]
                cosine = _cosine(vector, row)
                report.sampled += 1
                report.least_cosine = min(cosine, report.least_cosine or 1.0)
                if not cosine >= SAME_COSINE:
                    wrong.append((collection.modality, key))
                    reason = (
                        f"its {collection.modality}'s vector and a new one: cosine {cosine:.4f}"
                    )
                    report.add(Kind.ENCODING, item.item_id, reason)
    return wrong


def _rows(item: Item, collection: Collection) -> list[PendingRow]:
    if collection.modality is Modality.TEXT:
        return item.captions
    return [item.image] if item.image is not None else []


def _cosine(stored: NDArray[np.float32], row: PendingRow) -> float:
    return float(np.dot(stored, row.embedding)) if row.embedding is not None else 0.0
