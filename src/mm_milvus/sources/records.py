"""Rows of a table as a stream: CSV and TSV, JSONL, Parquet, Arrow IPC."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePosixPath
from typing import IO, cast

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from mm_milvus.errors import SourceError
from mm_milvus.files import Place, read_failure
from mm_milvus.sources.csvrows import CsvTable, open_csv
from mm_milvus.sources.rows import SAMPLE, Row
from mm_milvus.text import one_line

READ_ROWS = 64
"""Rows that are read at once: where a file breaks off, fewer than these are lost."""

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".ipc")


@dataclass(frozen=True, slots=True)
class Table:
    """A table that was found to be readable.

    columns  the names of its columns; of a JSONL file, those of its first rows
    size     its rows, where known
    read     a fresh stream of its rows, with the named columns as text, as they are written, and
             without the columns of bytes that are not named
    """

    columns: tuple[str, ...]
    size: int | None
    read: Callable[[frozenset[str]], Iterator[Row]]


def open_table(place: Place, delimiter: str | None) -> Table:
    """Look at the head of a table. Raises `SourceError` when it cannot be read."""
    suffix = PurePosixPath(place.name).suffix.lower()
    try:
        if suffix in (".jsonl", ".ndjson"):
            table = _open_jsonl(place)
        elif suffix == ".parquet":
            table = _open_parquet(place)
        elif suffix in (".arrow", ".feather", ".ipc"):
            table = _open_arrow(place)
        else:
            table = _from_csv(open_csv(place, delimiter or ("\t" if suffix == ".tsv" else ",")))
    except SourceError:
        raise
    except Exception as error:  # each format and filesystem has errors of its own
        raise SourceError(
            f"{place.uri} cannot be read as {suffix.lstrip('.') or 'CSV'}: {read_failure(error)}; "
            "check that the file is whole, and that its suffix says what it is"
        ) from error
    if not table.columns:
        raise SourceError(f"{place.uri} holds no row that can be read; check its format")
    twice = next((name for name in table.columns if table.columns.count(name) > 1), None)
    if twice is not None:
        raise SourceError(f"{place.uri} has two columns {twice!r}: rename one of them")
    return replace(table, read=lambda keep: _as_far_as_possible(table.read(keep), place.name))


def _as_far_as_possible(rows: Iterator[Row], name: str) -> Iterator[Row]:
    """The rows up to the place where the file is broken, and a last one that says so."""
    done = 0
    try:
        for row in rows:
            done = row.number
            yield row
    except Exception as error:  # each format and filesystem has errors of its own
        why = f"{name} cannot be read after row {done}: {read_failure(error)}; the rest is lost"
        yield Row(done + 1, fault=why)


def _from_csv(table: CsvTable) -> Table:
    return Table(table.columns, None, table.rows)


def _open_jsonl(place: Place) -> Table:
    columns: dict[str, None] = {}
    with place.open() as stream:
        for row in islice(_jsonl_rows(stream, place.name), SAMPLE):
            columns.update(dict.fromkeys(row.values or {}))

    def read(_: frozenset[str]) -> Iterator[Row]:
        with place.open() as stream:
            yield from _jsonl_rows(stream, place.name)

    return Table(tuple(columns), None, read)


def _jsonl_rows(stream: IO[bytes], name: str) -> Iterator[Row]:
    number = 0
    for line_number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        number += 1
        where = f"{name}:{line_number}"
        try:
            values = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            yield Row(number, fault=f"{where} is not valid JSON: {one_line(error)}")
            continue
        if isinstance(values, dict):
            yield Row(number, values)
        else:
            yield Row(number, fault=f"{where} is not a JSON object")


def _open_parquet(place: Place) -> Table:
    with place.open() as stream:
        file = pq.ParquetFile(stream)
        schema, size = file.schema_arrow, file.metadata.num_rows

    def read(keep: frozenset[str]) -> Iterator[Row]:
        with place.open() as stream:
            batches = pq.ParquetFile(stream).iter_batches(READ_ROWS, columns=_wanted(schema, keep))
            yield from _arrow_rows(batches)

    return Table(tuple(schema.names), size, read)


def _open_arrow(place: Place) -> Table:
    with _open_ipc(place) as stream:
        schema = _arrow_reader(stream)[0]

    def read(keep: frozenset[str]) -> Iterator[Row]:
        wanted = _wanted(schema, keep)
        with _open_ipc(place) as stream:
            batches = (batch.select(wanted) for batch in _arrow_reader(stream)[1])
            yield from _arrow_rows(batches)

    return Table(tuple(schema.names), None, read)


def _open_ipc(place: Place) -> IO[bytes]:
    """A local file is mapped: a batch of it may be as large as the whole table."""
    return place.open() if place.fs is not None else cast("IO[bytes]", pa.memory_map(place.path))


def _arrow_reader(stream: IO[bytes]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The batches of an Arrow IPC file, or of an IPC stream (as Hugging Face datasets write)."""
    is_file = stream.read(6) == b"ARROW1"
    stream.seek(0)
    if not is_file:
        reader = pa.ipc.open_stream(stream)
        return reader.schema, iter(reader)
    file = pa.ipc.open_file(stream)
    return file.schema, (file.get_batch(number) for number in range(file.num_record_batches))


def _wanted(schema: pa.Schema, keep: frozenset[str]) -> list[str]:
    return [name for name in schema.names if name in keep or not _is_bytes(schema.field(name).type)]


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _arrow_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[Row]:
    done = 0
    for batch in batches:
        for start in range(0, batch.num_rows, READ_ROWS):
            part = _whole_microseconds(batch.slice(start, READ_ROWS))
            yield from _python_rows(part, done)
            done += part.num_rows


def _python_rows(batch: pa.RecordBatch, done: int) -> list[Row]:
    try:
        # Offsets out of bounds, in a damaged file, would end the process.
        batch.validate(full=True)
        return [Row(number, values) for number, values in enumerate(batch.to_pylist(), done + 1)]
    except (pa.ArrowException, ValueError, OverflowError) as error:
        if batch.num_rows == 1:
            return [Row(done + 1, fault=f"row {done + 1} cannot be read: {one_line(error)}")]
    singles = (batch.slice(index, 1) for index in range(batch.num_rows))
    return [row for index, one in enumerate(singles) for row in _python_rows(one, done + index)]


def _whole_microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Python has no nanoseconds: Arrow refuses to convert a time that has some."""
    fields = [field.with_type(_microseconds(field.type)) for field in batch.schema]
    arrays = [
        array if array.type == field.type else array.cast(field.type, safe=False)
        for array, field in zip(batch.columns, fields, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _microseconds(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    return pa.time64("us") if kind == pa.time64("ns") else kind
