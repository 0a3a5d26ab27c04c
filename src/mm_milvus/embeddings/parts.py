"""Embeddings in Parquet: one file, or the files of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mm_milvus.embeddings.arrow import is_list, is_vector
from mm_milvus.embeddings.header import Header, read_header
from mm_milvus.errors import SourceError
from mm_milvus.files import Place, locate, read_failure
from mm_milvus.keys import find_keys, image_key, key_array, pack_keys
from mm_milvus.schema import embeddings_schema
from mm_milvus.text import printable

SUFFIX = ".parquet"
READ_ROWS = 512


class LatestRows:
    """The number of each item's last row: 24 bytes per row, 240 MB for ten million."""

    def __init__(self, item_ids: Iterable[str]) -> None:
        """Take the ids of all rows, in their order."""
        packed = bytearray()
        for item_id in item_ids:
            packed += bytes.fromhex(image_key(item_id))
        keys = key_array(packed)
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        is_last = np.ones(len(ordered), bool)
        is_last[:-1] = ordered[1:] != ordered[:-1]
        self._keys = ordered[is_last]
        self._rows = order[is_last]
        self._size = len(keys)

    def mask(self) -> NDArray[np.bool_]:
        """Return for each row whether it is the last one of its item: (rows,)."""
        mask = np.zeros(self._size, bool)
        mask[self._rows] = True
        return mask

    def find(self, item_ids: Sequence[str]) -> list[int | None]:
        """Return for each item the number of its last row; None where it has none."""
        positions, is_found = find_keys(key_array(pack_keys(map(image_key, item_ids))), self._keys)
        return [
            int(self._rows[position]) if item_found else None
            for position, item_found in zip(positions, is_found, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Part:
    """A Parquet file of embeddings.

    Attributes:
        place: Where the file is.
        rows: Its number of rows.
    """

    place: Place
    rows: int

    @contextmanager
    def open(self) -> Iterator[pq.ParquetFile]:
        """Open the file. Raises SourceError where it, or what is read of it, is damaged."""
        try:
            with self.place.open() as stream:
                yield pq.ParquetFile(stream, page_checksum_verification=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(self.place, error) from error

    def column(self, name: str) -> Iterator[list[str]]:
        """Yield the values of a text column, in lists."""
        with self.open() as file:
            for batch in file.iter_batches(columns=[name]):
                yield batch.column(0).to_pylist()


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Encoded items, as `encode` writes them and `ingest` takes them; see `open_embeddings`.

    Attributes:
        place: The folder or file.
        parts: Its files, in the order of their names.
        header: The header of the first file; all files have the same encoder.
    """

    place: Place
    parts: tuple[Part, ...]
    header: Header

    @property
    def name(self) -> str:
        """The name of the dataset that was encoded."""
        return self.header.source

    @property
    def size(self) -> int:
        """The number of rows; an item that was encoded again has several."""
        return sum(part.rows for part in self.parts)

    def latest_rows(self) -> LatestRows:
        """Find the latest row of each item."""
        lists = (ids for part in self.parts for ids in part.column("item_id"))
        return LatestRows(item_id or "" for ids in lists for item_id in ids)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the items, each as it was encoded last, in batches of at most `READ_ROWS` rows."""
        latest = self.latest_rows().mask()
        start = 0
        for part in self.parts:
            with part.open() as file:
                for batch in file.iter_batches(READ_ROWS):
                    keep = latest[start : start + batch.num_rows]
                    start += batch.num_rows
                    # A batch may have no row left: it is yielded all the same, with none.
                    yield batch if keep.all() else batch.filter(pa.array(keep))


def open_embeddings(path: str | os.PathLike[str]) -> Embeddings:
    """Open what `encode` wrote, without reading its vectors.

    Args:
        path: A folder of Parquet files, or one such file, by a local path or an fsspec URI.

    Returns:
        The embeddings, for `ingest`.

    Raises:
        SourceError: When it is missing or damaged, holds no embeddings, or those of several
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
        raise SourceError(f"{printable(place.uri)} holds no {SUFFIX} file; fill it with `encode`")
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
    """Read the header of each file. Raises SourceError as `open_embeddings` does."""
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
    """Raise ValueError, with the reason, where a column is missing or has another type.

    The lengths of vectors are not checked here: a wrong one concerns its item alone.
    """
    for field in embeddings_schema(1):
        if field.name not in schema.names:
            raise ValueError(f"it has no column {field.name}")
        kind = schema.field(field.name).type
        match field.name:
            case "image_embedding":
                is_valid = is_vector(kind)
            case "caption_embeddings":
                is_valid = is_list(kind) and is_vector(kind.value_type)
            case "captions":
                is_valid = is_list(kind) and _is_text(kind.value_type)
            case _:
                is_valid = _is_text(kind)
        if not is_valid:
            raise ValueError(f"its column {field.name} is {kind}, not {field.type}")


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _unreadable(place: Place, error: Exception) -> SourceError:
    return SourceError(
        f"{printable(place.uri)} cannot be read as embeddings: {read_failure(error)}; "
        "copy it once more, or delete it and encode its items again"
    )
