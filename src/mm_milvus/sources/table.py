"""A table of images and captions; also the reading of rows for a folder's own table."""

from __future__ import annotations

import difflib
import math
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pyarrow as pa

from mm_milvus.errors import SourceError
from mm_milvus.files import MAX_FILE_BYTES, Place, is_uri, locate
from mm_milvus.sources.base import Draft, Ids, reject, to_batches
from mm_milvus.sources.options import SourceOptions
from mm_milvus.sources.records import Table, open_table
from mm_milvus.sources.rows import Row
from mm_milvus.sources.sidecar import as_captions
from mm_milvus.text import is_utf8, one_line

IMAGE_COLUMNS = (
    "image",
    "image_path",
    "file_name",
    "filename",
    "path",
    "filepath",
    "file_path",
    "image_name",
    "url",
    "image_url",
    "uri",
    "img",
    "image_bytes",
)
CAPTION_COLUMNS = (
    "caption",
    "captions",
    "text",
    "texts",
    "title",
    "description",
    "comment",
    "sentence",
    "sentences",
)


@dataclass(frozen=True, slots=True)
class Roles:
    """Which column is what; all others are metadata."""

    image: str
    captions: tuple[str, ...]
    item_id: str | None

    @property
    def named(self) -> frozenset[str]:
        """The columns that are not metadata."""
        return frozenset({self.image, *self.captions, *([self.item_id] if self.item_id else [])})


def find_roles(place: Place, columns: tuple[str, ...], options: SourceOptions) -> Roles:
    """Match the options and the usual names with a table's columns.

    Raises `SourceError`, with the columns that there are, for a column that is not there.
    """
    wanted = [options.image_column, *options.caption_columns, options.id_column]
    for name in filter(None, wanted):
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            hint = f" (is it {near[0]!r}?)" if near else ""
            raise SourceError(
                f"{place.uri} has no column {name!r}{hint}: its columns are {', '.join(columns)}"
            )
    image = options.image_column or _first(IMAGE_COLUMNS, columns)
    if image is None:
        raise SourceError(
            f"{place.uri} has no column with a usual name for images: name one of its columns "
            f"as the image column; they are {', '.join(columns)}"
        )
    rest = tuple(name for name in columns if name not in (image, options.id_column))
    usual = _first(CAPTION_COLUMNS, rest)
    captions = options.caption_columns or ((usual,) if usual else ())
    return Roles(image, captions, options.id_column)


def _first(names: tuple[str, ...], columns: tuple[str, ...]) -> str | None:
    by_name = {column.lower(): column for column in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)


@dataclass(slots=True)
class Entry:
    """What one row says, or several adjacent rows that name the same image.

    path   the image as the row names it; None where there is only its content
    data   the image's content, where the row holds it
    fault  why the row cannot be used
    """

    number: int
    item_id: str
    path: str | None = None
    data: bytes | None = None
    captions: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None

    def continues(self, other: Entry) -> bool:
        """Whether the other row, the one before, is of the same image."""
        if self.path is None or other.path is None or self.fault or other.fault:
            return False
        return _normal(self.path) == _normal(other.path) and self.data == other.data


def _normal(path: str) -> str:
    return path if is_uri(path) else posixpath.normpath(path)


REMOTE_SCHEMES = frozenset(
    {
        *("http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hf"),
        *("file", "local", "memory"),
    }
)
"""Filesystems that a table may name; some others reach local files outside the table's folder."""


def resolve(written: str, folder: Place, *, allow_outside: bool = False) -> Place:
    """Return the place of an image that a table names.

    Args:
        written: The path, relative to the folder or absolute, or URI in the table.
        folder: The folder of the table.
        allow_outside: Whether the path may lead out of the folder.

    Raises:
        ValueError: With the reason, when the path leads out of the folder and may not, or when
            the URI is of a filesystem that a table may not name.
    """
    if is_uri(written):
        if "::" in written:
            raise ValueError(f"the chained URI {written} is not read from a table")
        scheme = written.split(":", 1)[0]
        if scheme not in REMOTE_SCHEMES and not _has_protocol(folder, scheme):
            raise ValueError(f"{scheme}:// is not read from a table")
        try:
            place = locate(written)
        except SourceError as error:
            raise ValueError(str(error)) from error
        if place.fs is not None:
            return place
        written = place.path
    if "\0" in written:
        raise ValueError("the image path contains a NUL character")
    base = folder.path.rstrip("/") + "/"
    path = posixpath.normpath(posixpath.join(folder.path, written))
    is_outside = not path.startswith(base) or (folder.fs is not None and written.startswith("/"))
    if is_outside and not allow_outside:
        raise ValueError(
            f"the image path {written} leads out of the table's folder: give the table itself, "
            "with `allow_outside`, to read it"
        )
    return Place(path, folder.fs)


def _has_protocol(place: Place, scheme: str) -> bool:
    protocol = () if place.fs is None else place.fs.protocol
    return scheme in ((protocol,) if isinstance(protocol, str) else protocol)


def entries(table: Table, roles: Roles) -> Iterator[Entry]:
    """The rows of a table; adjacent ones of the same image are one, unless there are ids."""
    last: Entry | None = None
    for row in table.read(roles.named):
        entry = _entry(row, roles)
        if last is not None and roles.item_id is None and entry.continues(last):
            last.captions += entry.captions
            last.metadata = entry.metadata | last.metadata
            continue
        if last is not None:
            yield last
        last = entry
    if last is not None:
        yield last


def _entry(row: Row, roles: Roles) -> Entry:
    entry = Entry(row.number, f"row-{row.number}", fault=row.fault)
    if row.values is None:
        return entry
    values = row.values
    try:
        entry.path, entry.data = _image(values.get(roles.image), roles.image)
    except ValueError as error:
        entry.fault = f"row {row.number}: {one_line(error)}"
    entry.item_id = entry.path or entry.item_id
    if roles.item_id is not None:
        text = _id_text(values.get(roles.item_id))
        entry.item_id = text or entry.item_id
        if not text:
            entry.fault = entry.fault or f"row {row.number} has no id in {roles.item_id}"
    try:
        for name in roles.captions:
            entry.captions += as_captions(values.get(name), name)
    except (ValueError, RecursionError) as error:
        entry.fault = entry.fault or f"row {row.number}: {one_line(error)}"
    rest = {name: value for name, value in values.items() if name not in roles.named}
    entry.metadata = {name: value for name, value in rest.items() if not _is_missing(value)}
    if not is_utf8(entry.item_id):
        entry.fault = entry.fault or f"row {row.number}: the id is not valid Unicode"
    return entry


def _id_text(value: Any) -> str:
    """An id as text; empty for what is none."""
    match value:
        case str():
            return value if value.strip() else ""
        case bool() | int():
            return str(value)
        case float() | Decimal() if math.isfinite(value):
            return str(value)
        case UUID():
            return str(value)
        case _:
            return ""


def _is_missing(value: Any) -> bool:
    return (
        value is None
        or isinstance(value, bytes)
        or (isinstance(value, float) and math.isnan(value))
    )


def _image(value: Any, column: str) -> tuple[str | None, bytes | None]:
    """The path and the content in an image cell. Raises ValueError when it has neither."""
    match value:
        case None | "":
            raise ValueError(f"there is no image in {column}")
        case str():
            return value, None
        case bytes():
            data, path = value, None
        case {"bytes": bytes(data), **rest}:
            path = rest.get("path")
        case {"path": str(path)} if path:
            return path, None
        case {"bytes": None} | {"path": None}:
            raise ValueError(f"there is no image in {column}")
        case _:
            raise ValueError(f"{column} holds no image: neither a path nor bytes")
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"the image in {column} is larger than {MAX_FILE_BYTES // 2**20} MiB")
    return path if isinstance(path, str) and path else None, data


def draft_of(entry: Entry, place: Place, image: Place | None, uri: str) -> Draft:
    """The item of a row; `image` is where its image lies, if the row does not hold it."""
    if entry.fault is not None:
        return reject(entry.item_id, f"{place.uri}#row={entry.number}", entry.fault)
    content = image if entry.data is None else entry.data
    return Draft(entry.item_id, uri, entry.captions, entry.metadata, content)


def repeats(number: int, item_id: str, first: int) -> str:
    """Why the later one of two rows with the same id is rejected."""
    return f"row {number} repeats the id {item_id} of row {first}: the first is kept"


@dataclass(frozen=True, slots=True)
class TableSource:
    """CSV, TSV, JSONL, Parquet or Arrow IPC: a row an item, or a row a caption."""

    place: Place
    table: Table
    roles: Roles
    allow_outside: bool = False

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return PurePosixPath(self.place.name).stem

    @property
    def size(self) -> int | None:
        """The rows, where the format tells: a bound, as adjacent rows may be one item."""
        return self.table.size

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The items, in the order of the rows."""
        return to_batches(self._drafts())

    def _drafts(self) -> Iterator[Draft]:
        ids = Ids()
        for entry in entries(self.table, self.roles):
            draft = self._draft(entry)
            # A row that is refused for another reason does not take its id.
            if draft.rejected is None:
                first = ids.first(entry.item_id, entry.number)
                if first != entry.number:
                    why = repeats(entry.number, entry.item_id, first)
                    draft = reject(entry.item_id, draft.uri, why)
            yield draft

    def _draft(self, entry: Entry) -> Draft:
        row_uri = f"{self.place.uri}#row={entry.number}"
        if entry.fault is not None or entry.data is not None or entry.path is None:
            return draft_of(entry, self.place, None, row_uri)
        try:
            image = resolve(entry.path, self.place.parent, allow_outside=self.allow_outside)
        except ValueError as error:
            return reject(entry.item_id, row_uri, f"row {entry.number}: {error}")
        # A URI is kept as it is written: some filesystems would not give all of it back.
        uri = entry.path if image.fs is not None and is_uri(entry.path) else image.uri
        if self.roles.item_id is None and uri == image.uri and image.is_under(self.place.parent):
            entry.item_id = image.relative_to(self.place.parent)
        return draft_of(entry, self.place, image, uri)


def open_table_source(place: Place, options: SourceOptions) -> TableSource:
    """Open a table. Raises `SourceError` when it, or a named column, is not there."""
    table = open_table(place, options.delimiter)
    roles = find_roles(place, table.columns, options)
    return TableSource(place, table, roles, options.allow_outside)
