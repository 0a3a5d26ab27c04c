"""Record batches to flows: what the store would refuse is turned away here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mm_milvus.embeddings.vectors import to_nested, to_numpy
from mm_milvus.errors import StoreError
from mm_milvus.keys import DIGEST_BYTES, caption_key, content_hash, image_key
from mm_milvus.pipeline.document import document_hash, document_texts
from mm_milvus.pipeline.flow import Flow, Item, PendingRow
from mm_milvus.rejects import Reject
from mm_milvus.schema import IMAGE_FIELD, Field
from mm_milvus.store.rows import check_embedding, check_text, parse_metadata

_HASH = re.compile(rf"[0-9a-f]{{{2 * DIGEST_BYTES}}}")
_VECTORS = ("image_embedding", "caption_embeddings")


def accept_items(
    batch: pa.RecordBatch, columns: Mapping[str, str], document: Mapping[str, float]
) -> Flow:
    """Items of a source, `ITEMS`, with all of their rows still to be encoded.

    document  the weights of its fields; empty: an item is its image
    """
    flow = Flow(read=batch.num_rows)
    for record in batch.to_pylist():
        if record["rejected"] is not None:
            flow.rejects.append(Reject(record["item_id"], "read", record["rejected"]))
            continue
        image = PendingRow("", record["image"], content_hash(record["image"]))
        captions = [PendingRow("", text, content_hash(text)) for text in record["captions"]]
        try:
            item = _item(record, image, captions, columns)
            if document:
                _make_document(item, image, document)
        except StoreError as error:
            flow.rejects.append(Reject(record["item_id"], "read", str(error)))
            continue
        _add(flow, item)
    return flow


def accept_embeddings(batch: pa.RecordBatch, columns: Mapping[str, str], dim: int) -> Flow:
    """Items of `embeddings_schema`, with the vectors that they bring, which are checked."""
    flow = Flow(read=batch.num_rows)
    records = batch.drop_columns(list(_VECTORS)).to_pylist()
    images = to_numpy(batch.column("image_embedding"))
    captions = to_nested(batch.column("caption_embeddings"))
    for record, image, vectors in zip(records, images, captions, strict=True):
        try:
            rows = _encoded_rows(record, image, vectors, dim)
            item = _item(record, rows[0], rows[1:], columns)
        except StoreError as error:
            flow.rejects.append(Reject(record["item_id"] or "(no name)", "read", str(error)))
            continue
        _add(flow, item)
    return flow


def _encoded_rows(
    record: Mapping[str, Any],
    image: NDArray[np.float32],
    vectors: list[NDArray[np.float32]],
    dim: int,
) -> list[PendingRow]:
    for name in ("item_id", "uri", "content_hash", "metadata"):
        if not record[name]:
            raise StoreError(f"it has no {name}")
    if not _HASH.fullmatch(record["content_hash"]):
        raise StoreError(f"its content_hash is not {2 * DIGEST_BYTES} hex digits")
    check_embedding(image, dim)
    rows = [PendingRow("", b"", record["content_hash"], image)]
    captions = record["captions"] or []
    if len(captions) != len(vectors):
        raise StoreError(f"it has {len(captions)} captions, and vectors for {len(vectors)}")
    for number, (text, vector) in enumerate(zip(captions, vectors, strict=True)):
        try:
            check_embedding(vector, dim)
        except StoreError as error:
            raise StoreError(f"caption {number}: {error}") from error
        if not text:
            raise StoreError(f"caption {number} is empty")
        rows.append(PendingRow("", text, content_hash(text), vector))
    return rows


def _item(
    record: Mapping[str, Any],
    image: PendingRow,
    captions: list[PendingRow],
    columns: Mapping[str, str],
) -> Item:
    """Make an item of its rows, or raise `StoreError` where the store would not take it."""
    item_id, uri, text = (record[key] for key in ("item_id", "uri", "metadata"))
    check_text(Field.ITEM_ID, item_id)
    check_text(Field.URI, uri)
    metadata = parse_metadata(text, columns)
    image.id = image_key(item_id)
    return Item(item_id, uri, metadata, text, content_hash(f"{uri}\0{text}"), image, captions)


def _make_document(item: Item, image: PendingRow, document: Mapping[str, float]) -> None:
    item.fields = document_texts(item.metadata, document)
    if not item.fields and IMAGE_FIELD not in document:
        raise StoreError(f"it has none of the document's fields: {', '.join(document)}")
    image.content_hash = document_hash(image.content_hash, item.fields, document)


def _add(flow: Flow, item: Item) -> None:
    flow.items.append(item)
    flow.rejects += _check_captions(item)


def _check_captions(item: Item) -> Iterator[Reject]:
    kept: list[PendingRow] = []
    for number, row in enumerate(item.captions):
        try:
            check_text(Field.CAPTION, str(row.content))
        except StoreError as error:
            yield Reject(item.item_id, "read", f"caption {number}: {error}")
            continue
        row.id = caption_key(item.item_id, len(kept))
        kept.append(row)
    item.captions = kept
