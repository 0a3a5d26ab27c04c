"""The rows of a table that name one image to one entry, wherever they are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from typing import Self

import numpy as np

from mm_milvus.keys import DIGEST_BYTES, key_array
from mm_milvus.sources.base import to_json
from mm_milvus.sources.entries import Entry, entry_of, id_text, normal_path, path_in_cell
from mm_milvus.sources.records import Table
from mm_milvus.sources.roles import ColumnRoles


def read_entries(table: Table, roles: ColumnRoles) -> Iterator[Entry]:
    """Read a table; the rows of one image are one entry, in the place of the first of them.

    Rows are of one image where they name the same path, and have the same id if there is a column
    of ids. Rows that have the image's content are compared with the row before alone.
    """
    scattered = frozenset() if roles.image in table.content else _scattered_keys(table, roles)
    if not scattered:
        return _adjacent_entries(table, roles)
    return _gathered(table, roles, scattered)


def _adjacent_entries(table: Table, roles: ColumnRoles) -> Iterator[Entry]:
    """Read a table; adjacent rows of one image are one entry."""
    last: Entry | None = None
    last_key = ""
    for row in table.read(roles.columns):
        entry = entry_of(row, roles)
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
    written = "" if path is None else normal_path(path)
    return written if roles.item_id is None else f"{item_id}\0{written}"


def _digest(key: str) -> bytes:
    return blake2b(key.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).digest()


def _scattered_keys(table: Table, roles: ColumnRoles) -> frozenset[bytes]:
    """Return the digests of the images whose rows are not adjacent: 16 bytes a row in memory."""
    packed = bytearray()
    previous = ""
    for row in table.read(roles.columns):
        values = row.values or {}
        path = path_in_cell(values.get(roles.image), roles.image)
        item_id = "" if roles.item_id is None else id_text(values.get(roles.item_id))
        key = _key_of(path, item_id, roles)
        if key and key != previous:
            packed += _digest(key)
        previous = key
    digests = np.sort(key_array(packed))
    return frozenset(digest.tobytes() for digest in digests[1:][digests[1:] == digests[:-1]])


def _gathered(table: Table, roles: ColumnRoles, scattered: frozenset[bytes]) -> Iterator[Entry]:
    """Yield the entries; those that are scattered once each, with what their later rows add."""
    with LaterRows() as later:
        first: set[bytes] = set()
        for entry in _adjacent_entries(table, roles):
            key = _key(entry, roles)
            if key and (digest := _digest(key)) in scattered:
                if digest in first:
                    later.add(digest, entry)
                first.add(digest)
        for entry in _adjacent_entries(table, roles):
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
