"""What a folder of embeddings holds already, so that nothing is encoded twice."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa

from mm_milvus.embeddings.parts import Embeddings, Part
from mm_milvus.embeddings.vectors import Vector, to_nested, to_numpy
from mm_milvus.keys import DIGEST_BYTES, content_hash

DETAILS = ["item_id", "uri", "content_hash", "captions", "metadata"]


@dataclass(frozen=True, slots=True)
class Former:
    """An item as it was encoded last.

    captions  each with its vector
    count     how many captions there were, a repeated one counted each time
    """

    content_hash: str
    image_embedding: Vector
    captions: dict[str, Vector]
    count: int


def signature(uri: str, image_hash: str, captions: Sequence[str], metadata: str) -> str:
    """Two versions of an item with the same signature are the same: 32 hex digits."""
    return content_hash(json.dumps([uri, image_hash, list(captions), metadata]))


class Known:
    """The items of a folder: 40 bytes a row stay in memory, vectors are read when asked for."""

    def __init__(self, embeddings: Embeddings) -> None:
        """Read all but the vectors."""
        self._parts = embeddings.parts
        self._starts = [0, *accumulate(part.rows for part in embeddings.parts)]
        self._index = embeddings.index()
        self._signatures = b"".join(map(_signatures, embeddings.parts))
        self._read: tuple[Part, int, pa.RecordBatch] | None = None

    def find(self, item_ids: Sequence[str]) -> list[int | None]:
        """For each item the number of its last row; None where it has none."""
        return self._index.find(item_ids)

    def signature(self, row: int) -> str:
        """The signature of a row."""
        return self._signatures[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES].hex()

    def former(self, row: int) -> Former:
        """A row with its vectors; the row group that it lies in is kept for the next ones."""
        number = bisect_right(self._starts, row) - 1
        batch = self._row_group(self._parts[number], row - self._starts[number])
        [image_hash] = batch.column("content_hash").to_pylist()
        [captions] = batch.column("captions").to_pylist()
        [image] = to_numpy(batch.column("image_embedding"))
        [vectors] = to_nested(batch.column("caption_embeddings"))
        pairs = dict(zip(captions, vectors, strict=True))
        return Former(image_hash, image, pairs, len(captions))

    def _row_group(self, part: Part, row: int) -> pa.RecordBatch:
        """The one row, of the row group that was read last where it lies in that."""
        if self._read is None or self._read[0] is not part or not self._holds(row):
            with part.open() as file:
                first = 0
                for group in range(file.num_row_groups):
                    size = file.metadata.row_group(group).num_rows
                    if row < first + size:
                        break
                    first += size
                table = file.read_row_group(group).combine_chunks()
            self._read = (part, first, table.to_batches()[0])
        return self._read[2].slice(row - self._read[1], 1)

    def _holds(self, row: int) -> bool:
        return self._read is not None and 0 <= row - self._read[1] < self._read[2].num_rows


def _signatures(part: Part) -> bytes:
    return b"".join(_signatures_of(part))


def _signatures_of(part: Part) -> Iterator[bytes]:
    with part.open() as file:
        for batch in file.iter_batches(columns=DETAILS):
            for row in batch.to_pylist():
                made = signature(row["uri"], row["content_hash"], row["captions"], row["metadata"])
                yield bytes.fromhex(made)
