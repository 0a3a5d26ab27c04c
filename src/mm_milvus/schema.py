"""The one place where fields are named: the Arrow schemas of items, and the fields of Milvus rows.

Data flows one way, as Arrow record batches of `ITEMS`, or of `embeddings_schema` where it is
already encoded; a row of the two Milvus collections has the fields of `Field`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from hashlib import blake2b

import pyarrow as pa

ITEMS = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("image", pa.binary()),
        pa.field("captions", pa.list_(pa.string()), nullable=False),
        pa.field("metadata", pa.string(), nullable=False),
        pa.field("rejected", pa.string()),
    ]
)
"""What every source yields, one row per item.

    item_id    the stable name of the item in its dataset, never empty
    uri        where the image was read from: for people, and to display it; empty for an item
               without an image
    image      the image file as it was stored, still encoded; null where `rejected` is set, and
               for an item without an image
    captions   captions, none of them empty; at least one for an item without an image
    metadata   a JSON object, as text
    rejected   null, or the reason why this item cannot be ingested
"""


def embeddings_schema(dim: int) -> pa.Schema:
    """Return the schema of what `encode` writes, one row per item, with vectors of `dim` numbers.

    item_id, uri, captions, metadata   as in `ITEMS`
    content_hash        of the image file, as `keys.content_hash` returns it; empty without an image
    image_embedding     float32 (dim,), of unit length; null without an image
    caption_embeddings  one per caption, in their order: float32 (dim,), of unit length
    """
    vector = pa.list_(pa.float32(), dim)
    return pa.schema(
        [
            pa.field("item_id", pa.string(), nullable=False),
            pa.field("uri", pa.string(), nullable=False),
            pa.field("content_hash", pa.string(), nullable=False),
            pa.field("image_embedding", vector),
            pa.field("captions", pa.list_(pa.string()), nullable=False),
            pa.field("caption_embeddings", pa.list_(vector), nullable=False),
            pa.field("metadata", pa.string(), nullable=False),
        ]
    )


class Field(StrEnum):
    """The fields of a Milvus row; both collections share them, only the texts have `CAPTION`."""

    ID = "id"
    ITEM_ID = "item_id"
    URI = "uri"
    CONTENT_HASH = "content_hash"
    DETAIL_HASH = "detail_hash"
    CAPTION = "caption"
    EMBEDDING = "embedding"
    METADATA = "metadata"


class Modality(StrEnum):
    """What the rows of a collection are; a dataset has one collection of each."""

    IMAGE = "image"
    TEXT = "text"


def column_name(key: str) -> str:
    """Return the name of the typed column of a metadata key.

    It is the key itself, or a name with its hash where Milvus does not take the key as the name of
    a field, or a row has that field already.
    """
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,200}", key) and key not in {*Field}:
        return key
    return f"column_{blake2b(key.encode(), digest_size=8).hexdigest()}"
