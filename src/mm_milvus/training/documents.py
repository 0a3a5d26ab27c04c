"""Documents: the records of a source that can be trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mm_milvus.errors import ItemError
from mm_milvus.images.hashing import image_hash
from mm_milvus.images.options import DEFAULTS, DecodeOptions
from mm_milvus.pipeline.batch import Batch
from mm_milvus.pipeline.document import document_texts
from mm_milvus.rejects import Reject
from mm_milvus.training.options import TrainOptions
from mm_milvus.training.row_cache import Rows


@dataclass(slots=True)
class Document:
    """An item with what a training needs of it.

    Attributes:
        item_id: The item.
        image: The image file; empty once it is decoded.
        image_hash: The hash of the image file, as `images.hashing.image_hash` returns it.
        captions: At least one.
        fields: Texts of the item's document in addition to its image, by field.
        relevance: Weight of the item's pairs, 0 or greater.
        rows: Views on their way to the cache, by `view_key`: first their pixels, uint8 (height,
            width, 3), then their rows, (width,).
    """

    item_id: str
    image: bytes
    image_hash: str
    captions: list[str]
    fields: dict[str, str]
    relevance: float
    rows: dict[str, Rows] = field(default_factory=dict)


def accept_documents(
    batches: Iterator[pa.RecordBatch], options: TrainOptions, decoding: DecodeOptions = DEFAULTS
) -> Iterator[Batch[Document]]:
    """Turn record batches of `schema.ITEMS` into documents.

    Items without an image or a caption are rejected, and so are items whose relevance is no
    number from 0 upward.
    """
    for records in batches:
        batch: Batch[Document] = Batch(read=records.num_rows)
        for record in records.to_pylist():
            try:
                batch.items.append(_make_document(record, options, decoding))
            except ItemError as error:
                batch.rejects.append(Reject(record["item_id"], "read", str(error)))
        yield batch


def _make_document(
    record: dict[str, Any], options: TrainOptions, decoding: DecodeOptions
) -> Document:
    if record["rejected"] is not None:
        raise ItemError(record["rejected"])
    if not record["captions"]:
        raise ItemError("it has no caption, so there is no pair to learn from")
    if record["image"] is None:
        raise ItemError("it has no image, so there is no pair to learn from")
    metadata = json.loads(record["metadata"])
    return Document(
        item_id=record["item_id"],
        image=record["image"],
        image_hash=image_hash(record["image"], decoding),
        captions=record["captions"],
        fields=document_texts(metadata, options.document),
        relevance=1.0 if options.relevance is None else _relevance(metadata, options.relevance),
    )


def _relevance(metadata: dict[str, Any], key: str) -> float:
    value = metadata.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ItemError(f"its relevance {key!r} is {value!r}, not a number from 0 upward")
    return float(value)
