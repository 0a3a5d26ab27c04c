"""The first items of a source, from which the columns of a new dataset are found."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import chain

import pyarrow as pa

from mm_milvus.errors import ItemError
from mm_milvus.limits import parse_metadata
from mm_milvus.pipeline.run import Readable
from mm_milvus.store.columns import find_columns

HEAD_ROWS = 1000
"""As many rows as decide on the types of a CSV file."""
HEAD_BYTES = 128 * 2**20
"""The first items are held in memory until the run takes them, so that none is read twice."""


class SourceHead:
    """A source that is read once, and whose first items can be looked at before.

    Attributes:
        skipped_files: As the source has them, once it is read.
    """

    def __init__(self, source: Readable, limit: int | None, interrupt: threading.Event) -> None:
        """Take a source; nothing is read yet.

        Args:
            source: A source, or embeddings.
            limit: How many items the run takes (default: all).
            interrupt: Once it is set, nothing more is read.
        """
        self._source = source
        self._rows = HEAD_ROWS if limit is None else min(limit, HEAD_ROWS)
        self._interrupt = interrupt
        self._head: list[pa.RecordBatch] = []
        self._rest: Iterator[pa.RecordBatch] | None = None

    @property
    def size(self) -> int | None:
        """The size of the source."""
        return self._source.size

    @property
    def skipped_files(self) -> dict[str, int]:
        """The skipped files of the source."""
        return dict(getattr(self._source, "skipped_files", {}))

    @property
    def notes(self) -> dict[str, int]:
        """The notes of the source, as it was read last."""
        return dict(getattr(self._source, "notes", {}))

    def columns(self) -> dict[str, str]:
        """Return the metadata keys that are columns by the first items, and their types."""
        self._rest = iter(self._source.batches())
        rows = size = 0
        while rows < self._rows and size < HEAD_BYTES and not self._interrupt.is_set():
            if (batch := next(self._rest, None)) is None:
                break
            self._head.append(batch)
            rows += batch.num_rows
            size += batch.nbytes
        return find_columns(
            metadata
            for batch in self._head
            for text in batch.column("metadata").to_pylist()
            if (metadata := _parsed(text)) is not None
        )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all items, once."""
        if self._rest is None:
            return self._source.batches()
        head, self._head = self._head, []
        return chain(_emptied(head), self._rest)


def _emptied(batches: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the batches in order, and hold none of them any longer."""
    batches.reverse()
    while batches:
        yield batches.pop()


def _parsed(text: str | None) -> dict[str, object] | None:
    try:
        return parse_metadata(text or "")
    except ItemError:  # the run rejects it
        return None
