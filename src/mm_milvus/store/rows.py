"""What a row is, and its limits.

Milvus Lite takes NaN vectors and JSON of any size, the server refuses them: all is checked here
before the call, so that every engine behaves alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_milvus.limits import column_value
from mm_milvus.schema import Field

BATCH_BYTES = 16 * 2**20
"""A gRPC message is limited to 64 MB; text costs up to three times its length in transit."""
BATCH_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """One row of either collection.

    embedding  float32, (dim,), unit length
    metadata   a JSON object
    caption    None in the image collection
    """

    id: str
    item_id: str
    uri: str
    content_hash: str
    detail_hash: str
    embedding: NDArray[np.float32]
    metadata: Mapping[str, Any]
    caption: str | None = None

    def to_milvus(self, columns: Mapping[str, str]) -> dict[str, Any]:
        """The row as pymilvus takes it, promoted columns included."""
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
        for name, kind in columns.items():
            row[name] = column_value(name, kind, self.metadata.get(name))
        return row

    @property
    def size(self) -> int:
        """About how many bytes the row takes in a message."""
        return self.embedding.nbytes + len(str(self.metadata)) + len(self.caption or "") + 256


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in order, in lists of at most `BATCH_ROWS` rows and about `BATCH_BYTES`."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        if batch and (len(batch) == BATCH_ROWS or size + row.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row.size
    if batch:
        yield batch
