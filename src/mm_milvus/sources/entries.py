"""Rows of a table to items: which column is what, and which image a row names."""

from __future__ import annotations

import ast
import difflib
import json
import math
import posixpath
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Self
from urllib.parse import unquote, urljoin
from uuid import UUID

import numpy as np

from mm_milvus.data_uri import decode_base64, decode_data_uri, is_data_uri
from mm_milvus.errors import SourceError
from mm_milvus.files import MAX_FILE_BYTES, Place, is_uri, locate
from mm_milvus.images.formats import name_of
from mm_milvus.keys import DIGEST_BYTES, key_array
from mm_milvus.remote import is_http
from mm_milvus.sources.base import Draft, rejected_draft, to_json
from mm_milvus.sources.options import SourceOptions
from mm_milvus.sources.records import Row, Table
from mm_milvus.sources.sidecar import to_captions
from mm_milvus.text import is_utf8, one_line

IMAGE_COLUMNS = (
    "image",
    "img",
    "image_bytes",
    *("jpg", "jpeg", "png", "webp"),
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
)
"""Usual names of the column of images, in the order in which they are looked for: content is
preferred to paths, and these to URLs. img2dataset names the column of content by its format."""

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
"""Usual names of the column of captions, in the order in which they are looked for."""


ID_COLUMNS = ("item_id", "id")
"""Usual names of the column of ids, in the order in which they are looked for."""

_HEAD_OF_BASE64 = 32
"""Characters of base64 that show whether it is an image; no image is smaller."""

_BASE64 = re.compile(rf"[A-Za-z0-9+/_-]{{{_HEAD_OF_BASE64}}}")

LONGEST_LIST = 2**16
"""Characters of a cell that is parsed as a list."""

_NO_COMMA = re.compile(r"""['"]\s+['"]""")

_LONGEST_PATH = 4096
"""Characters of a path, as in Linux."""


@dataclass(frozen=True, slots=True)
class ColumnRoles:
    """Which column is what; all other columns are metadata.

    Attributes:
        image: The column of images: paths, URIs, or bytes.
        captions: The columns of captions.
        item_id: The column of ids; None: an item's id is the path of its image.
    """

    image: str
    captions: tuple[str, ...]
    item_id: str | None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are not metadata."""
        return frozenset({self.image, *self.captions, *([self.item_id] if self.item_id else [])})


def find_roles(
    place: Place, columns: tuple[str, ...], options: SourceOptions, *, ids_are_paths: bool = False
) -> ColumnRoles:
    """Find the roles of a table's columns, by the options, else by the usual names.

    Args:
        place: The table, for messages.
        columns: Its columns.
        options: The names of columns that a user has chosen.
        ids_are_paths: Whether no column has ids, unless a user has chosen one.

    Raises:
        SourceError: When the table has no column of a chosen name, or none for images.
    """
    for name in filter(None, (options.image_column, options.id_column)):
        if name not in columns:
            raise _missing_column(place, name, columns)
    image = options.image_column or _first(IMAGE_COLUMNS, columns)
    item_id = options.id_column or None
    if options.id_column is None and not ids_are_paths:
        item_id = _first(ID_COLUMNS, tuple(name for name in columns if name != image))
    captions = tuple(name for name in columns if name not in (image, item_id))
    if options.caption_columns:
        chosen = (_matching(place, name, columns, captions) for name in options.caption_columns)
        captions = tuple(dict.fromkeys(name for names in chosen for name in names))
    else:
        captions = _usual_captions(captions)
    if image is None:
        raise SourceError(
            f"{place.uri} has no column with a usual name for images: name one of its columns "
            f"as `image_column`; they are {', '.join(columns)}"
        )
    return ColumnRoles(image, captions, item_id if item_id not in captions else None)


def _missing_column(place: Place, name: str, columns: tuple[str, ...]) -> SourceError:
    near = difflib.get_close_matches(name, columns, n=1)
    hint = f" (is it {near[0]!r}?)" if near else ""
    return SourceError(
        f"{place.uri} has no column {name!r}{hint}: its columns are {', '.join(columns)}"
    )


def _matching(
    place: Place, pattern: str, columns: tuple[str, ...], free: tuple[str, ...]
) -> list[str]:
    """Return the column of a name, or those that match a pattern and have no other role."""
    if pattern in columns:
        return [pattern]
    expression = ".*".join(map(re.escape, pattern.split("*")))
    names = [name for name in free if re.fullmatch(expression, name, re.DOTALL)]
    if not names:
        raise _missing_column(place, pattern, columns)
    return sorted(names, key=by_numbers)


def by_numbers(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts `caption_2` before `caption_10`."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def _usual_captions(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of the first usual name: the one of that name, and the numbered ones."""
    for usual in CAPTION_COLUMNS:
        exact = _first((usual,), columns)
        expression = re.compile(rf"{usual}[_ .-]?[0-9]{{1,4}}", re.IGNORECASE)
        numbered = sorted(filter(expression.fullmatch, columns), key=by_numbers)
        if exact or numbered:
            return (*([exact] if exact else []), *numbered)
    return ()


def _first(names: tuple[str, ...], columns: tuple[str, ...]) -> str | None:
    by_name = {column.lower(): column for column in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)


@dataclass(slots=True)
class Entry:
    """The item of one row, or of several rows of the same image.

    Attributes:
        number: The number of the first row, counted from 1.
        item_id: The id; where the table has no column of ids, the path, or the row's number.
        path: The image as the row names it; None where the row has only its content, or no image.
        data: The image's content, where the row has it.
        captions: The captions of the rows, in their order.
        metadata: The values of the other columns; the first row that has a column decides.
        fault: Why the row cannot be used; None where it can.
    """

    number: int
    item_id: str
    path: str | None = None
    data: bytes | None = None
    captions: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None

    def add(self, other: Entry) -> None:
        """Add the captions and the metadata of a later row."""
        self.captions += other.captions
        self.metadata = other.metadata | self.metadata


def _normal(path: str) -> str:
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


def read_entries(table: Table, roles: ColumnRoles) -> Iterator[Entry]:
    """Read a table; the rows of one image are one entry, in the place of the first of them.

    Rows are of one image where they name the same path, and have the same id if there is a column
    of ids. Rows that have the image's content are compared with the row before alone.
    """
    scattered = frozenset() if roles.image in table.content else _scattered_keys(table, roles)
    entries = _adjacent_entries(table, roles)
    return _gathered(entries, table, roles, scattered) if scattered else entries


def _adjacent_entries(table: Table, roles: ColumnRoles) -> Iterator[Entry]:
    """Read a table; adjacent rows of one image are one entry."""
    last: Entry | None = None
    last_key = ""
    for row in table.read(roles.columns):
        entry = _entry(row, roles)
        key = _key(entry, roles)
        if last is not None and key and key == last_key and entry.data == last.data:
            last.add(entry)
            continue
        if last is not None:
            yield last
        last, last_key = entry, key
    if last is not None:
        yield last


def _key(entry: Entry, roles: ColumnRoles) -> str:
    """Return what the entries of one image have in common; "" where an entry stands alone."""
    return "" if entry.fault else _key_of(entry.path, entry.item_id, roles)


def _key_of(path: str | None, item_id: str, roles: ColumnRoles) -> str:
    written = "" if path is None else _normal(path)
    return written if roles.item_id is None else f"{item_id}\0{written}"


def _digest(key: str) -> bytes:
    return blake2b(key.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).digest()


def _scattered_keys(table: Table, roles: ColumnRoles) -> frozenset[bytes]:
    """Return the digests of the images whose rows are not adjacent: 16 bytes a row in memory."""
    packed = bytearray()
    previous = ""
    for row in table.read(roles.columns):
        values = row.values or {}
        try:
            path, _ = _image(values.get(roles.image), roles.image)
        except ValueError:
            path = None
        item_id = "" if roles.item_id is None else _id_text(values.get(roles.item_id))
        key = _key_of(path, item_id, roles)
        if key and key != previous:
            packed += _digest(key)
        previous = key
    digests = np.sort(key_array(packed))
    return frozenset(digest.tobytes() for digest in digests[1:][digests[1:] == digests[:-1]])


def _gathered(
    entries: Iterator[Entry], table: Table, roles: ColumnRoles, scattered: frozenset[bytes]
) -> Iterator[Entry]:
    """Yield the entries; those that are scattered once each, with what their later rows add."""
    with LaterRows() as later:
        first: set[bytes] = set()
        for entry in _adjacent_entries(table, roles):
            key = _key(entry, roles)
            if key and (digest := _digest(key)) in scattered:
                if digest in first:
                    later.add(digest, entry)
                first.add(digest)
        for entry in entries:
            key = _key(entry, roles)
            if key and (digest := _digest(key)) in scattered:
                if digest not in first:
                    continue
                first.remove(digest)
                for other in later.of(digest):
                    entry.add(other)
            yield entry


class LaterRows:
    """Captions and metadata of rows, by the digest of their image, in a temporary file.

    In memory, the captions of a large table that is in random order would be too many.
    """

    def __init__(self) -> None:
        """Start without rows."""
        # A database without a name is a file that is deleted when it is closed.
        self._database = sqlite3.connect("", check_same_thread=False)
        self._database.execute("CREATE TABLE rows (digest BLOB, captions TEXT, metadata TEXT)")
        self._is_indexed = False

    def __enter__(self) -> Self:
        """Return the rows."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the file."""
        self._database.close()

    def add(self, digest: bytes, entry: Entry) -> None:
        """Add a row; all are added before any is looked up."""
        texts = json.dumps(entry.captions), json.dumps(to_json(entry.metadata))
        self._database.execute("INSERT INTO rows VALUES (?, ?, ?)", (digest, *texts))

    def of(self, digest: bytes) -> Iterator[Entry]:
        """Yield the rows of an image, in the order of the table."""
        if not self._is_indexed:
            self._database.execute("CREATE INDEX by_digest ON rows (digest)")
            self._is_indexed = True
        query = "SELECT rowid, captions, metadata FROM rows WHERE digest = ? ORDER BY rowid"
        for number, captions, metadata in self._database.execute(query, (digest,)):
            yield Entry(number, "", None, None, json.loads(captions), json.loads(metadata))


def _entry(row: Row, roles: ColumnRoles) -> Entry:
    entry = Entry(row.number, f"row-{row.number}", fault=row.fault)
    if row.values is None:
        return entry
    values, named = row.values, roles.columns
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
            entry.captions += to_captions(_listed(values.get(name)), name)
    except (ValueError, RecursionError) as error:
        entry.fault = entry.fault or f"row {row.number}: {one_line(error)}"
    if entry.path is None and entry.data is None and (reason := _not_downloaded(values)):
        entry.fault = entry.fault or f"row {row.number}: {reason}"
    if entry.path is None and entry.data is None and not entry.captions:
        reason = f"there is no image in {roles.image}, and no caption"
        entry.fault = entry.fault or f"row {row.number}: {reason}"
    entry.metadata = {
        name: value
        for name, value in values.items()
        if name not in named and not _is_missing(value)
    }
    if not is_utf8(entry.item_id):
        entry.fault = entry.fault or f"row {row.number}: the id is not valid Unicode"
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


def _id_text(value: Any) -> str:
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


def _image(value: Any, column: str) -> tuple[str | None, bytes | None]:
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
    return f"{table.uri}#row={entry.number}"


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


def repeated_id(number: int, item_id: str, first: int) -> str:
    """Return why the later one of two rows with the same id is rejected."""
    return f"row {number} repeats the id {item_id} of row {first}: the first is kept"
