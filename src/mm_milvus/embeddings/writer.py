"""Part files, complete or not at all."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mm_milvus.atomic import atomic_file, leftovers, unwritable
from mm_milvus.embeddings.parts import Embeddings, Part, read_parts
from mm_milvus.files import locate

PART_ROWS = 4096
PART_BYTES = 64 * 2**20
PART_SECONDS = 60
"""Bounds of a part: what waits in memory, and what is lost when the process is killed."""

ROW_GROUP_ROWS = 512

_NAME = re.compile(r"part-(\d{5,})\.parquet")


def find_parts(folder: Path) -> Embeddings | None:
    """Prepare a folder for writing, and open what it holds.

    Unfinished files of a run that was killed are deleted.

    Returns:
        The embeddings in the folder; None where there are none.

    Raises:
        OutputError: When the folder cannot be written to.
        SourceError: When a part in it is damaged, or was not written by `encode`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in leftovers(folder, "part-*.parquet"):
            unfinished.unlink()
        paths = sorted(_numbered(folder).items())
    except OSError as error:
        raise unwritable(folder, error) from error
    return read_parts(locate(folder), [locate(path) for _, path in paths]) if paths else None


class PartWriter:
    """Collects rows, and writes them as `part-00000.parquet`, `part-00001.parquet`, ...

    Parts that exist already are not touched: the numbers continue after the last one.

    Attributes:
        written: How many parts were written.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        """Write to a folder that `find_parts` has prepared."""
        self._folder = folder
        self._schema = schema
        self._next = max(_numbered(folder), default=-1) + 1
        self._pending: list[pa.RecordBatch] = []
        self._begun = 0.0
        self.written = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows of the schema. Raises OutputError when a part cannot be written."""
        if not batch.num_rows:
            return
        if not self._pending:
            self._begun = time.monotonic()
        self._pending.append(batch)
        rows = sum(pending.num_rows for pending in self._pending)
        size = sum(pending.nbytes for pending in self._pending)
        age = time.monotonic() - self._begun
        if rows >= PART_ROWS or size >= PART_BYTES or age >= PART_SECONDS:
            self.close()

    def close(self) -> None:
        """Write what is pending. Raises OutputError."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        path = self._folder / f"part-{self._next:05d}.parquet"
        _write(path, pa.Table.from_batches(pending, self._schema))
        self._next += 1
        self.written += 1


def rewrite_part(part: Part, keep: list[bool]) -> None:
    """Keep only some rows of a local part; a part without rows is deleted."""
    if all(keep):
        return
    path = Path(part.place.path)
    if not any(keep):
        path.unlink()
        return
    with part.open() as file:
        table = file.read()
    _write(path, table.filter(pa.array(keep)))


def _write(path: Path, table: pa.Table) -> None:
    with atomic_file(path, sync=True) as file:
        pq.write_table(
            table,
            file,
            row_group_size=ROW_GROUP_ROWS,
            compression="zstd",
            use_dictionary=False,
            write_page_checksum=True,
        )


def _numbered(folder: Path) -> dict[int, Path]:
    named = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in named if match}
