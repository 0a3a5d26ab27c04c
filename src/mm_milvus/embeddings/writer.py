"""Part files, each there whole or not at all."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mm_milvus.embeddings.parts import Embeddings, Part, read_parts
from mm_milvus.errors import StoreError
from mm_milvus.sources.files import locate, one_line

PART_ROWS = 4096
PART_BYTES = 64 * 2**20
PART_SECONDS = 60
"""Bounds of a part: what waits in memory, and what is lost when the process is killed."""

ROW_GROUP_ROWS = 512

_NAME = re.compile(r"part-(\d{5,})\.parquet")
_UNFINISHED = ".part-*.parquet.tmp"


def find_parts(folder: Path) -> Embeddings | None:
    """Make a folder ready to be written to; what it holds, None if that is nothing.

    What a run that was killed left unfinished is deleted. Raises `StoreError` when the folder
    cannot be written to, `SourceError` when a part in it is not one of ours, or damaged.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(_UNFINISHED):
            leftover.unlink()
        paths = sorted(_numbered(folder).items())
    except OSError as error:
        raise _unwritable(folder, error) from error
    return read_parts(locate(folder), [locate(path) for _, path in paths]) if paths else None


class PartWriter:
    """Collects rows, and writes them as `part-00000.parquet`, `part-00001.parquet`, ...

    A part is written under another name, and renamed when it is on the disk. Parts that are there
    already are left alone: the numbers go on after the last.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        """`folder` is one that `find_parts` has made ready."""
        self._folder = folder
        self._schema = schema
        self._next = max(_numbered(folder), default=-1) + 1
        self._pending: list[pa.RecordBatch] = []
        self._begun = 0.0
        self.written = 0
        """How many parts were written."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows of the schema; `StoreError` when a part cannot be written."""
        if not batch.num_rows:
            return
        if not self._pending:
            self._begun = time.monotonic()
        self._pending.append(batch)
        rows = sum(each.num_rows for each in self._pending)
        size = sum(each.nbytes for each in self._pending)
        age = time.monotonic() - self._begun
        if rows >= PART_ROWS or size >= PART_BYTES or age >= PART_SECONDS:
            self.close()

    def close(self) -> None:
        """Write what is pending."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        path = self._folder / f"part-{self._next:05d}.parquet"
        _write(path, pa.Table.from_batches(pending, self._schema))
        self._next += 1
        self.written += 1


def rewrite_part(part: Part, keep: list[bool]) -> None:
    """Leave only some rows of a local part; without any, it is deleted."""
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
    unfinished = path.with_name(f".{path.name}.tmp")
    try:
        with unfinished.open("wb") as file:
            pq.write_table(
                table,
                file,
                row_group_size=ROW_GROUP_ROWS,
                compression="zstd",
                use_dictionary=False,
                write_page_checksum=True,
            )
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def _numbered(folder: Path) -> dict[int, Path]:
    named = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in named if match}


def _unwritable(path: Path, error: OSError) -> StoreError:
    why = one_line(error.strerror or error)
    return StoreError(f"{path} cannot be written: {why}; free some space, or name another folder")
