"""Rows of a table to items: what the cells of a row hold, and which image it names."""

from __future__ import annotations

import ast
import json
import math
import posixpath
import re
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urljoin
from uuid import UUID

from mm_milvus.data_uri import decode_base64, decode_data_uri, is_data_uri
from mm_milvus.errors import SourceError
from mm_milvus.files import MAX_FILE_BYTES, Place, is_uri, locate
from mm_milvus.images.formats import name_of
from mm_milvus.remote import is_http
from mm_milvus.sources.base import Draft, SeenIds, rejected_draft
from mm_milvus.sources.records import Part, Row, row_name
from mm_milvus.sources.roles import ColumnRoles
from mm_milvus.sources.sidecar import to_captions
from mm_milvus.text import is_utf8, one_line

_HEAD_OF_BASE64 = 32
"""Characters of base64 that show whether it is an image; no image is smaller."""

_BASE64 = re.compile(rf"[A-Za-z0-9+/_-]{{{_HEAD_OF_BASE64}}}")

LONGEST_LIST = 2**16
"""Characters of a cell that is parsed as a list."""

_NO_COMMA = re.compile(r"""['"]\s+['"]""")

_LONGEST_PATH = 4096
"""Characters of a path, as in Linux."""

_MOST_ROWS = 2**40
"""More than any file has."""


@dataclass(slots=True)
class Entry:
    """The item of one row, or of several rows of the same image.

    Attributes:
        number: The number of the first row, counted from 1 in its file.
        item_id: The id; where the table has no column of ids, the path, or else `row_id`.
        path: The image as the row names it; None where the row has only its content, or no image.
        data: The image's content, where the row has it.
        captions: The captions of the rows, in their order.
        metadata: The values of the other columns; the first row that has a column decides.
        fault: Why the row cannot be used; None where it can.
        part: The file of the first row, where the table has several; else None.
        row_id: The id by the number of the first row.
    """

    number: int
    item_id: str
    path: str | None = None
    data: bytes | None = None
    captions: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None
    part: Part | None = None
    row_id: str = ""

    @property
    def where(self) -> str:
        """What messages call the first row."""
        return row_name(self.number, self.part)

    def add(self, other: Entry) -> None:
        """Add the captions and the metadata of a later row."""
        self.captions += other.captions
        self.metadata = other.metadata | self.metadata


def normal_path(path: str) -> str:
    """Return a path without `.` and double slashes; a URI unchanged."""
    return path if is_uri(path) else posixpath.normpath(path)


TABLE_SCHEMES = frozenset(
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
        if scheme not in TABLE_SCHEMES and not _has_protocol(folder, scheme):
            raise ValueError(f"{scheme}:// is not read from a table")
        try:
            place = locate(written, folder.fetch)
        except SourceError as error:
            raise ValueError(str(error)) from error
        if place.fs is not None:
            return place
        written = place.path
    if "\0" in written:
        raise ValueError("the image path contains a NUL character")
    path = _inside(written, folder)
    if path is None and not allow_outside:
        raise ValueError(
            f"the image path {written} leads out of the table's folder: give the table itself, "
            "with `allow_outside`, to read it"
        )
    return replace(folder, path=_join(folder.path, written) if path is None else path)


def _inside(written: str, folder: Place) -> str | None:
    """Return the path of a file in the folder; None where the written path leads out of it."""
    if folder.fs is None:
        path = posixpath.normpath(posixpath.join(folder.path, written))
        return path if path.startswith(folder.path.rstrip("/") + "/") else None
    # What leads out is decided after decoding %2e%2e, which a web server decodes as well.
    on_web = is_http(folder.fs)
    relative = posixpath.normpath(unquote(written.partition("?")[0]) if on_web else written)
    if written.startswith("/") or relative in (".", "..") or relative.startswith("../"):
        return None
    return folder.child(written if on_web else relative).path


def _join(folder: str, written: str) -> str:
    """Return a path that may lead out of the folder, of a filesystem or of a web server."""
    if "://" in folder:
        return urljoin(folder.rstrip("/") + "/", written)
    return posixpath.normpath(posixpath.join(folder or "/", written))


def _has_protocol(place: Place, scheme: str) -> bool:
    protocol = () if place.fs is None else place.fs.protocol
    return scheme in ((protocol,) if isinstance(protocol, str) else protocol)


def entry_of(row: Row, roles: ColumnRoles) -> Entry:
    """Return the entry of one row, with its fault where it cannot be used."""
    row_id = row.item_id or f"row-{row.number}"
    entry = Entry(row.number, row_id, fault=row.fault, part=row.part, row_id=row_id)
    if row.values is None:
        return entry
    values, named = row.values, roles.columns
    try:
        entry.path, entry.data = image_cell(values.get(roles.image), roles.image)
    except ValueError as error:
        entry.fault = f"{entry.where}: {one_line(error)}"
    entry.item_id = entry.path or entry.item_id
    if roles.item_id is not None:
        text = id_text(values.get(roles.item_id))
        entry.item_id = text or entry.item_id
        if not text:
            entry.fault = entry.fault or f"{entry.where} has no id in {roles.item_id}"
    try:
        for name in roles.captions:
            entry.captions += to_captions(_listed(values.get(name)), name)
    except (ValueError, RecursionError) as error:
        entry.fault = entry.fault or f"{entry.where}: {one_line(error)}"
    if entry.path is None and entry.data is None and (reason := _not_downloaded(values)):
        entry.fault = entry.fault or f"{entry.where}: {reason}"
    if entry.path is None and entry.data is None and not entry.captions:
        reason = f"there is no image in {roles.image}, and no caption"
        entry.fault = entry.fault or f"{entry.where}: {reason}"
    entry.metadata = {
        name: value
        for name, value in values.items()
        if name not in named and not _is_missing(value)
    }
    if not is_utf8(entry.item_id):
        entry.fault = entry.fault or f"{entry.where}: the id is not valid Unicode"
    return entry


def _not_downloaded(values: dict[str, Any]) -> str | None:
    """Return why img2dataset has no content for a row; None for rows of other programs."""
    status = values.get("status")
    if not isinstance(status, str) or "error_message" not in values or status == "success":
        return None
    return f"img2dataset could not download it: {values['error_message'] or status}"


def _listed(value: Any) -> Any:
    """Return the texts of a cell that has a list as JSON or Python writes it; else the value."""
    if not isinstance(value, str) or not (value.startswith("[") and value.endswith("]")):
        return value
    try:
        texts = json.loads(value)
    except (ValueError, RecursionError):
        # Python would join the texts of a numpy array, which has no commas.
        if len(value) > LONGEST_LIST or _NO_COMMA.search(value):
            return value
        try:
            texts = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
    is_list = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    return texts if is_list else value


def id_text(value: Any) -> str:
    """Return an id as text; "" for a value that is no id."""
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


def image_cell(value: Any, column: str) -> tuple[str | None, bytes | None]:
    """Return the path and the content in a cell of images, None for each that it lacks.

    Raises:
        ValueError: For a value that is none of these, and for content that is too large.
    """
    match value:
        case None:
            return None, None
        case float() if math.isnan(value):
            return None, None
        case str() if not value.strip():
            return None, None
        case str() if (content := _inline_image(value, column)) is not None:
            data, path = content, None
        case str():
            return value, None
        case bytes():
            data, path = value, None
        case {"bytes": bytes(data), **rest}:
            path = rest.get("path")
        case {"path": str(path)} if path:
            return path, None
        case {"bytes": None} | {"path": None}:
            return None, None
        case _:
            raise ValueError(f"{column} holds no image: neither a path nor bytes")
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"the image in {column} is larger than {MAX_FILE_BYTES // 2**20} MiB")
    return path if isinstance(path, str) and path else None, data


def path_in_cell(value: Any, column: str) -> str | None:
    """Return the path in a cell of images, without decoding content; None for any other cell."""
    if isinstance(value, str) and (
        is_data_uri(value) or (len(value) > _LONGEST_PATH and not is_uri(value))
    ):
        return None
    try:
        return image_cell(value, column)[0]
    except ValueError:
        return None


def _inline_image(text: str, column: str) -> bytes | None:
    """Return the image in a `data:` URI or in base64; None for a path. Raises ValueError."""
    try:
        if is_data_uri(text):
            return decode_data_uri(text)
        head = "".join(text[:100].split())[:_HEAD_OF_BASE64]
        if _BASE64.fullmatch(head) and name_of(decode_base64(head)) is not None:
            return decode_base64(text)
    except ValueError as error:
        raise ValueError(f"the image in {column} cannot be read: {error}") from error
    if len(text) > _LONGEST_PATH and not is_uri(text):
        raise ValueError(
            f"{column} holds a text of {len(text)} characters, neither a path nor an image"
        )
    return None


def row_uri(table: Place, entry: Entry) -> str:
    """Return the URI of the first row of an entry."""
    place = table if entry.part is None else entry.part.place
    return f"{place.uri}#row={entry.number}"


def to_draft(entry: Entry, image: Place | None, uri: str) -> Draft:
    """Return the item of an entry.

    Args:
        entry: An entry, with or without a fault.
        image: The file that its image is read from, where the entry has no content.
        uri: The `uri` of the item.
    """
    if entry.fault is not None:
        return rejected_draft(entry.item_id, uri, entry.fault)
    content = image if entry.data is None else entry.data
    return Draft(entry.item_id, uri, entry.captions, entry.metadata, content)


class SeenRows:
    """The ids of the entries of several files, each with the row that had it first."""

    def __init__(self) -> None:
        """Begin without entries."""
        self._ids = SeenIds()
        self._parts: list[Part | None] = []

    def record(self, entry: Entry) -> str | None:
        """Record the id of an entry; the entries of a file follow one another.

        Returns:
            Why the entry is rejected, where an earlier one has the same id; else None.
        """
        if not self._parts or self._parts[-1] is not entry.part:
            self._parts.append(entry.part)
        # One number per id takes less memory than a tuple.
        number = (len(self._parts) - 1) * _MOST_ROWS + entry.number
        first = self._ids.record(entry.item_id, number)
        if first == number:
            return None
        part, row = divmod(first, _MOST_ROWS)
        where = row_name(row, self._parts[part])
        return f"{entry.where} repeats the id {entry.item_id} of {where}: the first is kept"

    def __contains__(self, item_id: str) -> bool:
        """Return whether the id was recorded."""
        return item_id in self._ids
