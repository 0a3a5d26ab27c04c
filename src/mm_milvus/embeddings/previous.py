"""What a folder of embeddings holds already, so that nothing is encoded twice."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa

from mm_milvus.arrays import Vector
from mm_milvus.embeddings.arrow import to_nested, to_numpy
from mm_milvus.embeddings.parts import Embeddings, Part
from mm_milvus.keys import DIGEST_BYTES, content_hash

DETAILS = ["uri", "content_hash", "captions", "metadata"]


@dataclass(frozen=True, slots=True)
class PreviousItem:
    """An item as it was encoded last.

    Attributes:
        content_hash: The hash of the image file; empty without an image.
        image_embedding: The image's vector; empty without an image.
        captions: Each distinct caption with its vector.
        captions_count: Number of captions; a repeated one counts each time.
    """

    content_hash: str
    image_embedding: Vector
    captions: dict[str, Vector]
    captions_count: int


def signature(uri: str, image_hash: str, captions: Sequence[str], metadata: str) -> str:
    """Return a digest, 32 hex digits, that two versions of an item share only if they are equal."""
    return content_hash(json.dumps([uri, image_hash, list(captions), metadata]))


class PreviousParts:
    """The items of a folder: 40 bytes per row in memory; vectors are read on demand."""

    def __init__(self, embeddings: Embeddings) -> None:
        """Read everything but the vectors."""
        self._parts = embeddings.parts
        self._starts = [0, *accumulate(part.rows for part in embeddings.parts)]
        self._latest = embeddings.latest_rows()
        self._signatures = b"".join(map(_signatures, embeddings.parts))
        self._group: tuple[Part, int, pa.RecordBatch] | None = None

    def find(self, item_ids: Sequence[str]) -> list[int | None]:
        """Return for each item the number of its last row; None where it has none."""
        return self._latest.find(item_ids)

    def signature(self, row: int) -> str:
        """Return the signature of a row."""
        return self._signatures[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES].hex()

    def item(self, row: int) -> PreviousItem:
        """Return a row with its vectors; its row group stays in memory for the next call."""
        number = bisect_right(self._starts, row) - 1
        batch = self._read(self._parts[number], row - self._starts[number])
        [image_hash] = batch.column("content_hash").to_pylist()
        [captions] = batch.column("captions").to_pylist()
        [image] = to_numpy(batch.column("image_embedding"))
        [vectors] = to_nested(batch.column("caption_embeddings"))
        pairs = dict(zip(captions, vectors, strict=True))
        return PreviousItem(image_hash, image, pairs, len(captions))

    def _read(self, part: Part, row: int) -> pa.RecordBatch:
        """Return one row; its row group is read, unless it is the one that was read last."""
        if self._group is None or self._group[0] is not part or not self._holds(row):
            with part.open() as file:
                first = 0
                for group in range(file.num_row_groups):
                    size = file.metadata.row_group(group).num_rows
                    if row < first + size:
                        break
                    first += size
                table = file.read_row_group(group).combine_chunks()
            self._group = (part, first, table.to_batches()[0])
        return self._group[2].slice(row - self._group[1], 1)

    def _holds(self, row: int) -> bool:
        return self._group is not None and 0 <= row - self._group[1] < self._group[2].num_rows


def _signatures(part: Part) -> bytes:
    return b"".join(_read_signatures(part))


def _read_signatures(part: Part) -> Iterator[bytes]:
    with part.open() as file:
        for batch in file.iter_batches(columns=DETAILS):
            for row in batch.to_pylist():
                digest = signature(
                    row["uri"], row["content_hash"], row["captions"], row["metadata"]
                )
                yield bytes.fromhex(digest)
