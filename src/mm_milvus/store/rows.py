"""A row of either collection, and batches of rows that fit into one message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mm_milvus.arrays import Vector
from mm_milvus.limits import MISSING, column_value
from mm_milvus.schema import Field, column_name

BATCH_BYTES = 16 * 2**20
"""A gRPC message is limited to 64 MB; text costs up to three times its length in transit."""
BATCH_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """One row of either collection.

    Attributes:
        id: The primary key, 32 hex digits.
        item_id: The item that it belongs to.
        uri: Where the item's image was read from.
        content_hash: The hash of the image file or of the caption, 32 hex digits.
        detail_hash: The hash of the rest of the row, 32 hex digits.
        embedding: float32 (dim,), of unit length.
        metadata: A JSON object.
        caption: None in the image collection.
    """

    id: str
    item_id: str
    uri: str
    content_hash: str
    detail_hash: str
    embedding: Vector
    metadata: Mapping[str, Any]
    caption: str | None = None

    def to_milvus(self, columns: Mapping[str, str], *, nullable: bool) -> dict[str, Any]:
        """Return the row in the form that pymilvus takes, typed columns included.

        A value that does not fit its column is in the metadata alone.

        Args:
            columns: The metadata keys with a column and their types, as in the manifest.
            nullable: Whether the columns are nullable; otherwise `limits.MISSING` takes the place
                of a missing value.
        """
        row: dict[str, Any] = {
            Field.ID.value: self.id,
            Field.ITEM_ID.value: self.item_id,
            Field.URI.value: self.uri,
            Field.CONTENT_HASH.value: self.content_hash,
            Field.DETAIL_HASH.value: self.detail_hash,
            Field.EMBEDDING.value: self.embedding,
            Field.METADATA.value: self.metadata,
        }
        if self.caption is not None:
            row[Field.CAPTION.value] = self.caption
        for key, kind in columns.items():
            value = column_value(kind, self.metadata.get(key), nullable=nullable)
            row[column_name(key)] = MISSING[kind] if value is None and not nullable else value
        return row

    @property
    def size(self) -> int:
        """Approximate number of bytes of the row in a message."""
        return self.embedding.nbytes + len(str(self.metadata)) + len(self.caption or "") + 256


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the rows in order, in lists of at most `BATCH_ROWS` rows and about `BATCH_BYTES`."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        row_size = row.size
        if batch and (len(batch) == BATCH_ROWS or size + row_size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row_size
    if batch:
        yield batch
