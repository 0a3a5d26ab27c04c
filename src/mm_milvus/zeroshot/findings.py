"""Files of findings: CSV, JSON lines or Parquet, written as record batches come."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from contextlib import ExitStack
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from mm_milvus.atomic import atomic_file, unwritable
from mm_milvus.errors import OptionError

GROUP_ROWS = 100_000
"""Rows per group of a Parquet file: some megabytes."""


class Writer(Protocol):
    """Writes record batches of one schema to an open file, which its caller closes."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""

    def close(self) -> None:
        """Write what is held back."""


class JsonLinesWriter:
    """One JSON object per line."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:  # noqa: ARG002
        """Write to an open file."""
        self._file = file

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows_of(batch))
        self._file.write("".join(lines).encode())

    def close(self) -> None:
        """Nothing is held back."""


class CsvWriter:
    """A header, and one line per row."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        """Write to an open file."""
        self._text = TextIOWrapper(file, encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._text, schema.names, lineterminator="\n")
        self._writer.writeheader()

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        self._writer.writerows(rows_of(batch))

    def close(self) -> None:
        """Write what is held back."""
        self._text.detach()


class ParquetWriter:
    """Row groups of `GROUP_ROWS`."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        """Write to an open file."""
        self._schema = schema
        self._writer = pq.ParquetWriter(file, schema)
        self._pending: list[pa.RecordBatch] = []
        self._count = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        self._pending.append(batch)
        self._count += batch.num_rows
        if self._count >= GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is held back, and the footer."""
        if self._pending:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._pending, self._schema))
        self._pending, self._count = [], 0


WRITERS: dict[str, Callable[[IO[bytes], pa.Schema], Writer]] = {
    ".jsonl": JsonLinesWriter,
    ".csv": CsvWriter,
    ".parquet": ParquetWriter,
}
"""How findings are written, by the suffix of the file."""


class FindingsFile:
    """A file of findings; it appears under its name when the block ends well, and else not."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Choose the format by the suffix; raise OptionError for an unknown one."""
        make = WRITERS.get(path.suffix.lower())
        if make is None:
            raise OptionError(
                f"`output` {path} has an unknown suffix: name it *{', *'.join(sorted(WRITERS))}"
            )
        self.path = path
        self._make = make
        self._schema = schema
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open the file under a hidden name. Raises OutputError."""
        with ExitStack() as stack:
            file = stack.enter_context(atomic_file(self.path))
            self._writer = self._make(file, self._schema)
            stack.callback(self._writer.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Finish the file and give it its name; delete it where the block failed."""
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows. Raises OutputError where the disk is full."""
        try:
            self._writer.write(batch)
        except OSError as error:
            raise unwritable(self.path, error) from error


def rows_of(batch: pa.RecordBatch) -> list[dict[str, object]]:
    """Return the rows, ready for JSON; a float32 is rounded to the six digits that it has."""
    rows: list[dict[str, object]] = batch.to_pylist()
    for row in rows:
        for key, value in row.items():
            if isinstance(value, float):
                row[key] = float(f"{value:.6g}")
    return rows
