"""Record batches of a source to items; what no engine could store is rejected here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from mm_milvus.choices import IMAGE_FIELD
from mm_milvus.errors import ItemError
from mm_milvus.images.hashing import image_hash
from mm_milvus.images.options import DEFAULTS, DecodeOptions
from mm_milvus.keys import caption_key, content_hash, image_key
from mm_milvus.limits import check_text, parse_metadata
from mm_milvus.pipeline.batch import Batch, Item, PendingRow
from mm_milvus.pipeline.document import document_hash, document_texts
from mm_milvus.rejects import Reject
from mm_milvus.schema import Field


def accept_items(
    batches: Iterator[pa.RecordBatch],
    document: Mapping[str, float],
    decoding: DecodeOptions = DEFAULTS,
) -> Iterator[Batch[Item]]:
    """Turn record batches of `schema.ITEMS` into items whose rows are all to be encoded.

    Args:
        batches: The record batches of a source.
        document: Weights of the fields of an item's vector; empty: its image alone.
        decoding: How images are decoded.

    Yields:
        One batch per record batch. Items that no engine could store are rejected.
    """
    for batch in batches:
        yield _accept(batch, document, decoding)


def _accept(
    records: pa.RecordBatch, document: Mapping[str, float], decoding: DecodeOptions
) -> Batch[Item]:
    batch: Batch[Item] = Batch(read=records.num_rows)
    for record in records.to_pylist():
        if record["rejected"] is not None:
            batch.rejects.append(Reject(record["item_id"], "read", record["rejected"]))
            continue
        data = record["image"]
        image = None if data is None else PendingRow("", data, image_hash(data, decoding))
        captions = [PendingRow("", text, content_hash(text)) for text in record["captions"]]
        try:
            item = make_item(record, image, captions)
            if document and image is not None:
                _make_document(item, image, document)
        except ItemError as error:
            batch.rejects.append(Reject(record["item_id"], "read", str(error)))
            continue
        add_item(batch, item)
    return batch


def make_item(
    record: Mapping[str, Any],
    image: PendingRow | None,
    captions: list[PendingRow],
) -> Item:
    """Make an item of its rows; raise `ItemError` where no engine could store it."""
    if image is None and not captions:
        raise ItemError("it has neither an image nor a caption")
    item_id, uri, text = (record[key] for key in ("item_id", "uri", "metadata"))
    check_text(Field.ITEM_ID, item_id)
    check_text(Field.URI, uri)
    metadata = parse_metadata(text)
    if image is not None:
        image.id = image_key(item_id)
    return Item(item_id, uri, metadata, text, content_hash(f"{uri}\0{text}"), image, captions)


def add_item(batch: Batch[Item], item: Item) -> None:
    """Append an item to a batch, without the captions that are too long, which are rejected.

    An item that has nothing else is not appended.
    """
    kept: list[PendingRow] = []
    for number, row in enumerate(item.captions):
        try:
            check_text(Field.CAPTION, str(row.content))
        except ItemError as error:
            batch.rejects.append(Reject(item.item_id, "read", f"caption {number}: {error}"))
            continue
        row.id = caption_key(item.item_id, len(kept))
        kept.append(row)
    item.captions = kept
    if item.image is not None or kept:
        batch.items.append(item)


def _make_document(item: Item, image: PendingRow, document: Mapping[str, float]) -> None:
    item.fields = document_texts(item.metadata, document)
    if not item.fields and IMAGE_FIELD not in document:
        raise ItemError(f"it has none of the document's fields: {', '.join(document)}")
    image.content_hash = document_hash(image.content_hash, item.fields, document)
