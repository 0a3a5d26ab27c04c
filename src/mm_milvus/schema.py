"""The single place where a field is named: the Arrow schema of a data set, and the Milvus rows.

Data flows one way, as Arrow record batches of `ITEMS`, or of `embeddings_schema` where it is
encoded already; a row of the two Milvus collections is made of the `Field` names below.
"""

from __future__ import annotations

from enum import StrEnum

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
"""What every source yields, a row an item.

    item_id    the stable name of the item inside its data set, never empty
    uri        where the image was read from: for people, and to show it again
    image      the encoded image file, as it was stored; null only where `rejected` is set
    captions   zero or more captions, each non-empty
    metadata   a JSON object, as text
    rejected   null, or the reason why this item cannot be ingested
"""


def embeddings_schema(dim: int) -> pa.Schema:
    """What `encode` writes, a row an item, with vectors of `dim` numbers.

    item_id, uri, captions, metadata   as in `ITEMS`
    content_hash        of the image's file, as `keys.content_hash` makes it
    image_embedding     float32, (dim,), unit length
    caption_embeddings  one for each caption, in their order: float32, (dim,), unit length
    """
    vector = pa.list_(pa.float32(), dim)
    return pa.schema(
        [
            pa.field("item_id", pa.string(), nullable=False),
            pa.field("uri", pa.string(), nullable=False),
            pa.field("content_hash", pa.string(), nullable=False),
            pa.field("image_embedding", vector, nullable=False),
            pa.field("captions", pa.list_(pa.string()), nullable=False),
            pa.field("caption_embeddings", pa.list_(vector), nullable=False),
            pa.field("metadata", pa.string(), nullable=False),
        ]
    )



class Field(StrEnum):
    """The fields of a Milvus row; both collections share them, `CAPTION` is in the texts only."""

    ID = "id"
    ITEM_ID = "item_id"
    URI = "uri"
    CONTENT_HASH = "content_hash"
    DETAIL_HASH = "detail_hash"
    CAPTION = "caption"
    EMBEDDING = "embedding"
    METADATA = "metadata"


class Modality(StrEnum):
    """The two collections of a data set."""

    IMAGE = "image"
    TEXT = "text"
