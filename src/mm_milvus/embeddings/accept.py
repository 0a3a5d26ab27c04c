"""Record batches of encoded items to items with their vectors, which are checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from mm_milvus.arrays import Vector
from mm_milvus.embeddings.arrow import to_nested, to_numpy
from mm_milvus.errors import ItemError
from mm_milvus.keys import ID_DIGITS, content_hash, is_key
from mm_milvus.limits import check_embedding
from mm_milvus.pipeline.accept import add_item, make_item
from mm_milvus.pipeline.batch import Batch, Item, PendingRow
from mm_milvus.rejects import Reject

_VECTORS = ("image_embedding", "caption_embeddings")


def accept_embeddings(batches: Iterator[pa.RecordBatch], dim: int) -> Iterator[Batch[Item]]:
    """Turn record batches of `schema.embeddings_schema` into items with their vectors.

    Args:
        batches: The record batches of `Embeddings`.
        dim: The length that a vector must have.

    Yields:
        One batch per record batch. Items with a missing field or a bad vector are rejected.
    """
    for records in batches:
        batch: Batch[Item] = Batch(read=records.num_rows)
        images = to_numpy(records.column("image_embedding"))
        nested = to_nested(records.column("caption_embeddings"))
        others = records.drop_columns(list(_VECTORS)).to_pylist()
        for record, image, vectors in zip(others, images, nested, strict=True):
            try:
                captions = _caption_rows(record, vectors, dim)
                item = make_item(record, _image_row(record, image, dim), captions)
            except ItemError as error:
                item_id = record["item_id"] or "(no name)"
                batch.rejects.append(Reject(item_id, "read", str(error)))
                continue
            add_item(batch, item)
        yield batch


def _image_row(record: Mapping[str, Any], image: Vector, dim: int) -> PendingRow | None:
    """Return the row of the image, None without one; raise ItemError."""
    for name in ("item_id", "metadata"):
        if not record[name]:
            raise ItemError(f"it has no {name}")
    if not (record["uri"] or record["content_hash"] or len(image)):
        return None
    for name in ("uri", "content_hash"):
        if not record[name]:
            raise ItemError(f"it has no {name}")
    if not is_key(record["content_hash"]):
        raise ItemError(f"its content_hash is not {ID_DIGITS} hex digits")
    check_embedding(image, dim)
    return PendingRow("", b"", record["content_hash"], image)


def _caption_rows(record: Mapping[str, Any], vectors: list[Vector], dim: int) -> list[PendingRow]:
    """Return the rows of the captions; raise ItemError."""
    rows: list[PendingRow] = []
    captions = record["captions"] or []
    if len(captions) != len(vectors):
        raise ItemError(f"it has {len(captions)} captions, and vectors for {len(vectors)}")
    for number, (text, vector) in enumerate(zip(captions, vectors, strict=True)):
        try:
            check_embedding(vector, dim)
        except ItemError as error:
            raise ItemError(f"caption {number}: {error}") from error
        if not text:
            raise ItemError(f"caption {number} is empty")
        rows.append(PendingRow("", text, content_hash(text), vector))
    return rows
