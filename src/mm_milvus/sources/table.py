"""A table of images and captions: CSV, TSV, JSON, JSONL, Parquet or Arrow IPC."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import pyarrow as pa

from mm_milvus.errors import SourceError
from mm_milvus.files import Place, is_uri, locate, read_failure
from mm_milvus.remote import is_http
from mm_milvus.sources.base import Draft, rejected_draft, to_batches
from mm_milvus.sources.csv_records import open_csv
from mm_milvus.sources.entries import (
    Entry,
    SeenRows,
    resolve,
    row_uri,
    to_draft,
)
from mm_milvus.sources.gather import read_entries
from mm_milvus.sources.json_records import open_json
from mm_milvus.sources.near_paths import NearPaths
from mm_milvus.sources.options import SourceOptions
from mm_milvus.sources.records import (
    Row,
    Table,
    open_arrow,
    open_parquet,
    without_compression,
)
from mm_milvus.sources.roles import ColumnRoles, find_roles
from mm_milvus.sources.suffixes import TABLE_SUFFIXES

_DEFAULTS = SourceOptions()


@dataclass(frozen=True, slots=True)
class TableSource:
    """The items of a table, with one row per item or one row per caption.

    Attributes:
        place: The table.
        table: The table, opened.
        roles: Which of its columns is what.
        root: The folder that paths are relative to; rows of parts have that of their part.
        allow_outside: Whether images outside that folder are read.
    """

    place: Place
    table: Table
    roles: ColumnRoles
    root: Place
    allow_outside: bool = False

    @property
    def name(self) -> str:
        """The file's name without its suffixes."""
        return PurePosixPath(without_compression(self.place.name)).stem

    @property
    def size(self) -> int | None:
        """The number of rows, where the format has it: adjacent rows may be one item."""
        return self.table.size

    @property
    def notes(self) -> Mapping[str, int]:
        """What users should know of the items that were read last, with its numbers."""
        return self.table.notes

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the items in the order of the rows."""
        return to_batches(self.drafts(), self.place.fetch.concurrency)

    def drafts(self) -> Iterator[Draft]:
        """Yield the items before their images are read."""
        seen, near = SeenRows(), NearPaths(self.root)
        for entry in read_entries(self.table, self.roles):
            root = self.root if entry.part is None else entry.part.root
            if near.root is not root:
                near = NearPaths(root)
            draft = self._draft(entry, near)
            # A row that is rejected for another reason does not take its id.
            if draft.rejected is None and (reason := seen.record(entry)) is not None:
                # Datasets that hold the images often have the same file names in many folders.
                if self.roles.item_id is None and entry.data is not None:
                    entry.item_id = draft.item_id = entry.row_id
                    reason = seen.record(entry)
                if reason is not None:
                    draft = rejected_draft(entry.item_id, draft.uri, reason)
            yield draft

    def _draft(self, entry: Entry, near: NearPaths) -> Draft:
        if entry.fault is not None or entry.data is not None or entry.path is None:
            return to_draft(entry, None, row_uri(self.place, entry))
        try:
            image = resolve(entry.path, near.root, allow_outside=self.allow_outside)
        except ValueError as error:
            reason = f"{entry.where}: {error}"
            return rejected_draft(entry.item_id, row_uri(self.place, entry), reason)
        # On a local disk, looking costs little.
        if image.fs is None and not image.is_file() and (found := near.find(entry.path)):
            image, note = found
            self.table.notes[note] += 1
        # A URI is kept as the table has it: some filesystems would not return all of it.
        uri = entry.path if image.fs is not None and is_uri(entry.path) else image.uri
        if self.roles.item_id is None and uri == image.uri and image.is_under(near.root):
            entry.item_id = image.relative_to(near.root)
        return to_draft(entry, image, uri)


def is_table(name: str) -> bool:
    """Return whether a file is a table by its name: text formats may be compressed."""
    return PurePosixPath(without_compression(name)).suffix.lower() in TABLE_SUFFIXES


def open_table_source(place: Place, options: SourceOptions) -> TableSource:
    """Open a table as a source.

    Raises:
        SourceError: When the table cannot be read, or a column is missing.
    """
    table = open_table(place, options)
    roles = find_roles(place, table.columns, options)
    return TableSource(place, table, roles, image_root(place, options), options.allow_outside)


def image_root(table: Place, options: SourceOptions) -> Place:
    """Return the folder that the paths in a table are relative to.

    Raises:
        SourceError: When there is no such folder.
    """
    if options.image_root is None:
        return table.parent
    if not is_uri(options.image_root):
        written = posixpath.normpath(options.image_root.replace("\\", "/"))
        place = table.parent.child(written)
        if place.fs is None:
            place = replace(place, path=posixpath.normpath(place.path))
        if place.is_dir():
            return place
    place = locate(options.image_root, options.fetch)
    if not is_http(place.fs) and not place.is_dir():
        raise SourceError(
            f"`image_root` is {options.image_root}, and there is no such folder: give it relative "
            f"to {table.parent.uri}, or to the current folder"
        )
    return place


def open_table(place: Place, options: SourceOptions = _DEFAULTS) -> Table:
    """Read the head of a table.

    Args:
        place: The table; its suffix decides on the format, which is CSV for any other suffix.
        options: The encoding of a text, and the delimiter and the quoting of a CSV file.

    Raises:
        SourceError: When it cannot be read, or has no columns, or two of one name.
    """
    suffix = PurePosixPath(without_compression(place.name)).suffix.lower()
    try:
        if suffix in (".jsonl", ".ndjson", ".json"):
            table = open_json(place, options.encoding, lines=suffix != ".json")
        elif suffix == ".parquet":
            table = open_parquet(place)
        elif suffix in (".arrow", ".feather", ".ipc"):
            table = open_arrow(place)
        else:
            table = open_csv(
                place,
                options.delimiter,
                no_quoting=options.no_quoting,
                encoding=options.encoding,
            )
    except SourceError:
        raise
    except Exception as error:  # each format and filesystem has errors of its own
        raise SourceError(
            f"{place.uri} cannot be read as {suffix.lstrip('.') or 'CSV'}: {read_failure(error)}; "
            "check that the file is complete, and that its suffix names its format"
        ) from error
    if not table.columns:
        raise SourceError(f"{place.uri} holds no row that can be read; check its format")
    twice = next((name for name in table.columns if table.columns.count(name) > 1), None)
    if twice is not None:
        raise SourceError(f"{place.uri} has two columns {twice!r}: rename one of them")
    return table.with_rows(lambda rows: _until_failure(rows, place.name))


def _until_failure(rows: Iterator[Row], name: str) -> Iterator[Row]:
    """Yield the rows up to where the file is damaged, and a last one with the reason."""
    done = 0
    try:
        for row in rows:
            done = row.number
            yield row
    except Exception as error:  # each format and filesystem has errors of its own
        fault = f"{name} cannot be read after row {done}: {read_failure(error)}; the rest is lost"
        yield Row(done + 1, fault=fault)
