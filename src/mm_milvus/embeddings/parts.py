"""Embeddings in Parquet: a file, or the files of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from mm_milvus.embeddings.header import Header, read_header
from mm_milvus.embeddings.index import Index
from mm_milvus.embeddings.vectors import is_list, is_vector
from mm_milvus.errors import SourceError
from mm_milvus.schema import embeddings_schema
from mm_milvus.sources.files import Place, locate, printable, reason

SUFFIX = ".parquet"
READ_ROWS = 512


@dataclass(frozen=True, slots=True)
class Part:
    """A Parquet file of embeddings, and how many rows it has."""

    place: Place
    rows: int

    @contextmanager
    def open(self) -> Iterator[pq.ParquetFile]:
        """The open file. Raises `SourceError` where it, or what is read of it, is damaged."""
        try:
            with self.place.open() as stream:
                yield pq.ParquetFile(stream, page_checksum_verification=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(self.place, error) from error

    def column(self, name: str) -> Iterator[list[str]]:
        """A column of text, as lists."""
        with self.open() as file:
            for batch in file.iter_batches(columns=[name]):
                yield batch.column(0).to_pylist()


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Encoded items, as `encode` writes them and `ingest` takes them.

    place   the folder or file
    parts   its files, in the order of their names
    header  what the first of them tells of itself; all have the same encoder
    """

    place: Place
    parts: tuple[Part, ...]
    header: Header

    @property
    def name(self) -> str:
        """The name of the data set that was encoded."""
        return self.header.source

    @property
    def size(self) -> int:
        """How many rows there are; an item that was encoded again has several."""
        return sum(part.rows for part in self.parts)

    def index(self) -> Index:
        """Where the latest row of each item is."""
        lists = (ids for part in self.parts for ids in part.column("item_id"))
        return Index(item_id or "" for ids in lists for item_id in ids)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The items, each as it was encoded last: batches of at most `READ_ROWS` rows."""
        latest = self.index().latest()
        start = 0
        for part in self.parts:
            with part.open() as file:
                for batch in file.iter_batches(READ_ROWS):
                    kept = latest[start : start + batch.num_rows]
                    start += batch.num_rows
                    # No row of a batch may be left, and its account is empty then.
                    yield batch if kept.all() else batch.filter(pa.array(kept))


def open_embeddings(path: str | os.PathLike[str]) -> Embeddings:
    """Open what `encode` wrote, by a local path or an fsspec URI, without reading its vectors.

    path  a folder of Parquet files, or one such file

    Raises `SourceError` when it is missing or damaged, holds no embeddings, or those of several
    encoders.
    """
    place = locate(path)
    try:
        places = _files(place)
    except SourceError:
        raise
    except Exception as error:  # each filesystem has errors of its own
        raise _unreadable(place, error) from error
    if not places:
        raise SourceError(
            f"{printable(place.uri)} holds no {SUFFIX} file; fill it with: "
            "mm-milvus encode PATH --output DIR"
        )
    return read_parts(place, places)


def _files(place: Place) -> list[Place]:
    if place.is_dir():
        names = [entry.name for entry in place.entries() if not entry.is_dir]
        visible = [name for name in names if name.endswith(SUFFIX) and name[0] not in "._"]
        # part-100000 comes after part-99999.
        return [place.child(name) for name in sorted(visible, key=lambda name: (len(name), name))]
    if not place.is_file():
        raise SourceError(f"{printable(place.uri)} does not exist: check the path")
    return [place]


def read_parts(place: Place, places: Sequence[Place]) -> Embeddings:
    """Look at the head of each of the files. Raises `SourceError` as `open_embeddings` does."""
    parts, headers = [], []
    for file in places:
        try:
            with file.open() as stream:
                head = pq.ParquetFile(stream)
                header = read_header(head.schema_arrow)
                _check_columns(head.schema_arrow)
                parts.append(Part(file, head.metadata.num_rows))
        except Exception as error:  # each filesystem has errors of its own
            raise _unreadable(file, error) from error
        headers.append(header)
        first = headers[0].encoder
        if (header.encoder.fingerprint, header.encoder.dim) != (first.fingerprint, first.dim):
            raise SourceError(
                f"{printable(file.uri)} was encoded with {header.encoder.id} (fingerprint "
                f"{header.encoder.fingerprint}), and {places[0].name} with {first.id} "
                f"(fingerprint {first.fingerprint}): keep them in folders of their own"
            )
    return Embeddings(place, tuple(parts), headers[0])


def _check_columns(schema: pa.Schema) -> None:
    """Raise ValueError, with the reason, where a column is missing or of another kind.

    The lengths of vectors are not among it: a wrong one concerns its item alone.
    """
    for field in embeddings_schema(1):
        if field.name not in schema.names:
            raise ValueError(f"it has no column {field.name}")
        kind = schema.field(field.name).type
        match field.name:
            case "image_embedding":
                good = is_vector(kind)
            case "caption_embeddings":
                good = is_list(kind) and is_vector(kind.value_type)
            case "captions":
                good = is_list(kind) and _is_text(kind.value_type)
            case _:
                good = _is_text(kind)
        if not good:
            raise ValueError(f"its column {field.name} is {kind}, not {field.type}")


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _unreadable(place: Place, error: Exception) -> SourceError:
    return SourceError(
        f"{printable(place.uri)} cannot be read as embeddings: {reason(error)}; "
        "copy it once more, or delete it and encode its items again"
    )
