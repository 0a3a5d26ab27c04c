"""Rows of a table as a stream: what all formats share, and Parquet and Arrow IPC."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from mm_milvus.files import Place
from mm_milvus.sources.encodings import MARK_BYTES, encoding_of
from mm_milvus.text import one_line

if TYPE_CHECKING:
    from mm_milvus.sources.csv_records import ColumnOfText

HEAD_ROWS = 1000
"""Number of rows at the head of a text file that define its columns."""

READ_ROWS = 64
"""Most rows per read; where a file is damaged, fewer than these are lost."""

READ_BYTES = 2**20
"""Most bytes of several rows per read; rows that are larger are read one by one."""

_TEXT_BYTES = 2**20
"""Bytes of a compressed text that are decompressed at a time."""

BUFFER_BYTES = 4 * 2**20
"""Bytes of a column of Parquet per read; without it, the whole column of a row group is read."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of several files whose rows are read as those of one table.

    Attributes:
        place: The file.
        name: Its path relative to the dataset, for messages.
        root: The folder that the paths of images in it are relative to.
    """

    place: Place
    name: str
    root: Place


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        number: Counted from 1, in its file.
        values: By column; None where the row cannot be used.
        fault: Why it cannot be used.
        part: Its file, where the table has several; else None.
        item_id: The id of its item where no column has one; "" for `row-` and the number.
    """

    number: int
    values: dict[str, Any] | None = None
    fault: str | None = None
    part: Part | None = None
    item_id: str = ""


def row_name(number: int, part: Part | None) -> str:
    """Return what messages call a row: its number, and its file where the table has several."""
    return f"row {number}" if part is None else f"row {number} of {part.name}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose head was read.

    Attributes:
        columns: The names of its columns; for JSON, those of the first `HEAD_ROWS` rows.
        size: The number of its rows, where it is known without reading them.
        read: Return a new stream of its rows. The given columns keep their values as the
            text of the file; other columns of bytes are omitted.
        skim: Return a new stream of its rows with the given columns alone, without the content of
            files in them; None where that takes as long as to read all.
        text_columns: What decides on the types of the columns of a CSV file, by their names; empty
            for other formats, which have types of their own.
        content: The columns that may hold content of files, not only paths.
        notes: What users should know of the rows of the stream that was read last, with the number
            of times that it occurred.
    """

    columns: tuple[str, ...]
    size: int | None
    read: Callable[[frozenset[str]], Iterator[Row]]
    content: frozenset[str] = frozenset()
    notes: Counter[str] = field(default_factory=Counter)
    skim: Callable[[frozenset[str]], Iterator[Row]] | None = None
    text_columns: dict[str, ColumnOfText] = field(default_factory=dict)

    def with_rows(self, change: Callable[[Iterator[Row]], Iterator[Row]]) -> Table:
        """Return a table whose streams of rows are changed."""
        read, skim = self.read, self.skim
        return replace(
            self,
            read=lambda keep: change(read(keep)),
            skim=None if skim is None else lambda names: change(skim(names)),
        )


def as_part(table: Table, part: Part | None, row_id: Callable[[int], str] | None = None) -> Table:
    """Return a table whose rows are of a part.

    Args:
        table: A table.
        part: What its rows name as their file; None for no file.
        row_id: From the number of a row to its `item_id` (default: "").
    """

    def change(rows: Iterator[Row]) -> Iterator[Row]:
        for row in rows:
            item_id = "" if row_id is None else row_id(row.number)
            yield Row(row.number, row.values, row.fault, part, item_id)

    return table.with_rows(change)


COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
"""Codecs of compressed text files by the last suffix of their names."""


TEXT_TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json")
"""Formats that may be compressed as a whole, such as `.csv.gz`."""


def without_compression(name: str) -> str:
    """Return the name of a text file without the suffix of its compression."""
    path = PurePosixPath(name)
    inner = PurePosixPath(path.stem).suffix.lower()
    compressed = path.suffix.lower() in COMPRESSIONS and inner in TEXT_TABLE_SUFFIXES
    return path.stem if compressed else name


@contextmanager
def open_text(place: Place, newline: str, encoding: str | None = None) -> Iterator[TextIO]:
    """Open a file of text, compressed or not.

    The text is read as `encoding_of` has it; bytes that are not valid become lone surrogates.

    Args:
        place: The file; the last suffix of its name shows whether it is compressed.
        newline: Where lines end, as `io.TextIOWrapper` has it; line ends are not converted.
        encoding: Of a text without a byte order mark (default: UTF-8 or UTF-16).
    """
    codec = COMPRESSIONS.get(PurePosixPath(place.name).suffix.lower())
    with ExitStack() as stack:
        stream: Any = stack.enter_context(place.open())
        if codec is not None:
            stream = stack.enter_context(pa.CompressedInputStream(stream, codec))
            stream = stack.enter_context(io.BufferedReader(stream, _TEXT_BYTES))
        name, errors = encoding_of(stream.peek(MARK_BYTES)[:MARK_BYTES], encoding)
        yield stack.enter_context(io.TextIOWrapper(stream, name, errors, newline))


def open_parquet(place: Place) -> Table:
    """Open a Parquet file."""
    with place.open() as stream:
        file = pq.ParquetFile(stream)
        schema, size = file.schema_arrow, file.metadata.num_rows

    def read(keep: frozenset[str]) -> Iterator[Row]:
        with place.open() as stream:
            file = pq.ParquetFile(stream, buffer_size=BUFFER_BYTES)
            yield from _arrow_rows(_parquet_batches(file, _columns(schema, keep)), place.name)

    def skim(names: frozenset[str]) -> Iterator[Row]:
        columns = _lean_columns(schema, names)
        if columns:
            with place.open() as stream:
                file = pq.ParquetFile(stream, buffer_size=BUFFER_BYTES)
                yield from _arrow_rows(_parquet_batches(file, columns), place.name)

    return Table(tuple(schema.names), size, read, _content_columns(schema), skim=skim)


def _parquet_batches(file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of each row group, with as many per batch as their mean size permits."""
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        chunks = (group.column(index) for index in range(group.num_columns))
        # The path of a nested column begins with the name of its top one, which may have dots.
        size = sum(
            chunk.total_uncompressed_size
            for chunk in chunks
            if any(f"{chunk.path_in_schema}.".startswith(f"{name}.") for name in columns)
        )
        # Sizes vary within a group, and a batch of several rows may be of the largest ones.
        large = size > READ_BYTES * max(1, group.num_rows // READ_ROWS)
        yield from file.iter_batches(1 if large else READ_ROWS, [number], columns)


def open_arrow(place: Place) -> Table:
    """Open an Arrow IPC file or stream."""
    with _open_ipc(place) as stream:
        schema = _arrow_reader(stream)[0]

    def read(keep: frozenset[str]) -> Iterator[Row]:
        columns = _columns(schema, keep)
        with _open_ipc(place) as stream:
            batches = (batch.select(columns) for batch in _arrow_reader(stream)[1])
            yield from _arrow_rows(batches, place.name)

    def skim(names: frozenset[str]) -> Iterator[Row]:
        columns = _lean_columns(schema, names)
        if columns:
            with _open_ipc(place) as stream:
                batches = (_projection(batch, columns) for batch in _arrow_reader(stream)[1])
                yield from _arrow_rows(batches, place.name)

    # A remote file is read whole in any case.
    lean = skim if place.fs is None else None
    return Table(tuple(schema.names), None, read, _content_columns(schema), skim=lean)


def _open_ipc(place: Place) -> IO[bytes]:
    """Open a file; map a local one, as one of its batches may be as large as the whole table."""
    return place.open() if place.fs is not None else cast("IO[bytes]", pa.memory_map(place.path))


def _arrow_reader(stream: IO[bytes]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return the schema and the batches of an IPC file or stream (as written by HF datasets)."""
    is_file = stream.read(6) == b"ARROW1"
    stream.seek(0)
    if not is_file:
        reader = pa.ipc.open_stream(stream)
        return reader.schema, iter(reader)
    file = pa.ipc.open_file(stream)
    return file.schema, (file.get_batch(number) for number in range(file.num_record_batches))


def _columns(schema: pa.Schema, keep: frozenset[str]) -> list[str]:
    """Return the columns to read: all but those of bytes that are not to be kept."""
    return [name for name in schema.names if name in keep or not _is_bytes(schema.field(name).type)]


def _content_columns(schema: pa.Schema) -> frozenset[str]:
    return frozenset(
        field.name for field in schema if _is_bytes(field.type) or pa.types.is_struct(field.type)
    )


def _lean_columns(schema: pa.Schema, names: frozenset[str]) -> list[str]:
    """Return what the named columns hold except for bytes."""
    return [path for name in schema.names if name in names for path in _lean(schema, name)]


def _lean(schema: pa.Schema, name: str) -> list[str]:
    """Return what a column holds except for bytes: its own name, or those of fields in it."""
    kind = schema.field(name).type
    if not pa.types.is_struct(kind):
        return [] if _is_bytes(kind) else [name]
    fields = (kind.field(index) for index in range(kind.num_fields))
    return [f"{name}.{field.name}" for field in fields if not _is_bytes(field.type)]


def _projection(batch: pa.RecordBatch, paths: list[str]) -> pa.RecordBatch:
    """Return the columns, and fields of structs, that `_lean` names."""
    batch.validate()
    arrays: dict[str, pa.Array] = {}
    for name in batch.schema.names:
        array = batch.column(name)
        if name in paths:
            arrays[name] = array
        elif pa.types.is_struct(array.type):
            fields = [array.type.field(index) for index in range(array.type.num_fields)]
            fields = [field for field in fields if f"{name}.{field.name}" in paths]
            values = [array.field(field.name) for field in fields]
            if fields:
                arrays[name] = pa.StructArray.from_arrays(
                    values, fields=fields, mask=array.is_null()
                )
    return pa.RecordBatch.from_pydict(arrays)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _arrow_rows(batches: Iterator[pa.RecordBatch], name: str) -> Iterator[Row]:
    done = 0
    for batch in batches:
        for start in range(0, batch.num_rows, READ_ROWS):
            for part in _small_parts(batch.slice(start, READ_ROWS)):
                yield from _python_rows(_whole_microseconds(part), done, name)
                done += part.num_rows


def _small_parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Halve a batch until each part has at most `READ_BYTES`, or one row."""
    if batch.num_rows <= 1 or _size(batch) <= READ_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _small_parts(batch.slice(0, half))
    yield from _small_parts(batch.slice(half))


def _size(batch: pa.RecordBatch) -> float:
    """Return the bytes of a batch; infinity for one that is damaged."""
    try:
        return float(batch.nbytes)
    except pa.ArrowException:
        return math.inf


def _python_rows(batch: pa.RecordBatch, done: int, name: str) -> list[Row]:
    """Convert a batch; where that fails, convert its rows one by one to find the faulty ones."""
    try:
        # In a damaged file, offsets out of bounds would crash the process.
        batch.validate(full=True)
        return [Row(number, values) for number, values in enumerate(batch.to_pylist(), done + 1)]
    except (pa.ArrowException, ValueError, OverflowError) as error:
        if batch.num_rows == 1:
            fault = f"row {done + 1} of {name} cannot be read: {one_line(error)}"
            return [Row(done + 1, fault=fault)]
    return [
        row
        for index in range(batch.num_rows)
        for row in _python_rows(batch.slice(index, 1), done + index, name)
    ]


def _whole_microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Truncate times to microseconds: Python has no nanoseconds, and Arrow refuses to convert."""
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
