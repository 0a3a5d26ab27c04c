"""The rows of a table that name one image to one entry, wherever they are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from typing import Self

import numpy as np

from mm_milvus.files import is_uri
from mm_milvus.keys import DIGEST_BYTES, key_array
from mm_milvus.sources.base import to_json
from mm_milvus.sources.entries import Entry, entry_of, id_text, normal_path, path_in_cell
from mm_milvus.sources.records import Part, Table
from mm_milvus.sources.roles import ColumnRoles

LONGEST_RUN = 8
"""Images of one path in adjacent rows that are held in memory, to gather their rows."""


def read_entries(table: Table, roles: ColumnRoles) -> Iterator[Entry]:
    """Read a table; the rows of one image are one entry, in the place of the first of them.

    Rows are of one image where they name the same path, and have the same id if there is a column
    of ids; rows that have the content of their image also have the same content. Without a path
    and a column of ids, each row is an entry.
    """
    keys = _Keys(table, roles)
    scattered = keys.scattered()
    return _gathered(keys, scattered) if scattered else keys.adjacent_entries()


class _Keys:
    """What the rows of one image have in common, in a table."""

    def __init__(self, table: Table, roles: ColumnRoles) -> None:
        self._table, self._roles = table, roles
        self._has_content = roles.image in table.content

    def adjacent_entries(self) -> Iterator[Entry]:
        """Read the table; rows of one image are one entry, with others of their key in between."""
        run: list[Entry] = []
        run_key = ""
        for row in self._table.read(self._roles.columns):
            entry = entry_of(row, self._roles)
            if entry.fault is not None:
                yield entry
                continue
            key = self.of(entry)
            is_same = key != "" and key == run_key
            if is_same and (same := [other for other in run if other.data == entry.data]):
                same[0].add(entry)
                continue
            if not is_same or len(run) == LONGEST_RUN:
                yield from run
                run, run_key = [], key
            run.append(entry)
        yield from run

    def of(self, entry: Entry) -> str:
        """Return the key of an entry, without its content; "" where it stands alone."""
        return "" if entry.fault else self._of_cells(entry.path, entry.item_id, entry.part)

    def scattered(self) -> frozenset[bytes]:
        """Return the digests of keys whose rows are not adjacent: 16 bytes a row in memory.

        None are looked for where all images would be read for it.
        """
        packed = bytearray()
        previous, length = "", 0
        if self._has_content and self._table.skim is None:
            return frozenset()
        skim = self._table.skim or self._table.read
        for row in skim(self._roles.columns):
            values = row.values or {}
            path = path_in_cell(values.get(self._roles.image), self._roles.image)
            item_id = self._roles.item_id and id_text(values.get(self._roles.item_id))
            key = self._of_cells(path, item_id or "", row.part)
            length = length + 1 if key == previous else 1
            # Rows of one path that have content may be of several images in turn.
            if key and (length == 1 or (self._has_content and length == LONGEST_RUN + 1)):
                packed += _digest(key)
            previous = key
        digests = np.sort(key_array(packed))
        return frozenset(digest.tobytes() for digest in digests[1:][digests[1:] == digests[:-1]])

    def _of_cells(self, path: str | None, item_id: str, part: Part | None) -> str:
        written = "" if path is None else normal_path(path)
        # The same path in two folders is of two images; next to content, it is a mere name.
        if written and part is not None and not (self._has_content or is_uri(written)):
            written = f"{part.root.path}\0{written}"
        return written if self._roles.item_id is None else f"{item_id}\0{written}"


def _digest(key: str, content: bytes | None = None) -> bytes:
    """Return the digest of a key, or of a key and the content of an image."""
    digest = blake2b(key.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES)
    if content is not None:
        digest.update(b"\0")
        digest.update(content)
    return digest.digest()


def _gathered(keys: _Keys, scattered: frozenset[bytes]) -> Iterator[Entry]:
    """Yield the entries; those that are scattered once each, with what their later rows add."""

    def digest(entry: Entry) -> bytes | None:
        key = keys.of(entry)
        return _digest(key, entry.data) if key and _digest(key) in scattered else None

    with LaterRows() as later:
        first: set[bytes] = set()
        for entry in keys.adjacent_entries():
            if (found := digest(entry)) is not None:
                if found in first:
                    later.add(found, entry)
                first.add(found)
        for entry in keys.adjacent_entries():
            if (found := digest(entry)) is not None:
                if found not in first:
                    continue
                first.remove(found)
                for other in later.of(found):
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
