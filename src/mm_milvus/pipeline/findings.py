"""What a judge found: into a file, and into the metadata of a data set in the store."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from mm_milvus.errors import QueryError, StoreError

GROUP_ROWS = 100_000
"""So many rows make a group of a Parquet file: some megabytes."""


class FindingsFile(Protocol):
    """A file that grows by record batches of one schema."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""

    def close(self) -> None:
        """Write what is held back, and close the file."""


class JsonLines:
    """An object a line."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:  # noqa: ARG002
        """The file is open, and closed by who opened it."""
        self._file = file

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows_of(batch))
        self._file.write("".join(lines).encode())

    def close(self) -> None:
        """Nothing is held back."""


class Csv:
    """A header, and a line a row."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        """The file is open, and closed by who opened it."""
        self._text = TextIOWrapper(file, encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._text, schema.names, lineterminator="\n")
        self._writer.writeheader()

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        self._writer.writerows(rows_of(batch))

    def close(self) -> None:
        """Write what is held back."""
        self._text.detach()


class Parquet:
    """Row groups of `GROUP_ROWS`."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        """The file is open, and closed by who opened it."""
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


FORMATS: dict[str, Callable[[IO[bytes], pa.Schema], FindingsFile]] = {
    ".jsonl": JsonLines,
    ".csv": Csv,
    ".parquet": Parquet,
}
"""How findings are written, by the suffix of the file."""


class Findings:
    """A file of findings; it appears under its name when the block ends well, and else not."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Open it under a hidden name. Raises QueryError and StoreError."""
        make = FORMATS.get(path.suffix.lower())
        if make is None:
            raise QueryError(
                f"{path} is of no known kind: name the output *{', *'.join(sorted(FORMATS))}"
            )
        self.path = path
        self._partial = path.with_name(f".{path.name}.partial")
        try:
            self._file = self._partial.open("wb")
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from error
        self._writer = make(self._file, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows. Raises StoreError where the disk takes no more."""
        try:
            self._writer.write(batch)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error}") from error

    def __enter__(self) -> Self:
        """Nothing more to open."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        """Finish the file and give it its name; delete it where the block failed."""
        try:
            with self._file:
                self._writer.close()
            if kind is None:
                self._partial.replace(self.path)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error}") from error
        finally:
            self._partial.unlink(missing_ok=True)


def rows_of(batch: pa.RecordBatch) -> list[dict[str, object]]:
    """The rows as JSON has them; a float32 is rounded to the six digits that it has."""
    rows: list[dict[str, object]] = batch.to_pylist()
    for row in rows:
        for key, value in row.items():
            if isinstance(value, float):
                row[key] = float(f"{value:.6g}")
    return rows
