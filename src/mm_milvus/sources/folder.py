"""A folder of images, with captions in sidecar files, in a table, or in the folders' names."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import pyarrow as pa

from mm_milvus.errors import SourceError
from mm_milvus.files import Place, is_uri, read_failure
from mm_milvus.sources.base import Draft, SeenIds, rejected_draft, to_batches
from mm_milvus.sources.entries import (
    ColumnRoles,
    Entry,
    find_roles,
    read_entries,
    repeated_id,
    resolve,
    to_draft,
)
from mm_milvus.sources.options import SourceOptions
from mm_milvus.sources.records import Table
from mm_milvus.sources.sidecar import parse_sidecar
from mm_milvus.sources.suffixes import IMAGE_SUFFIXES, SHARD_SUFFIXES, SIDECAR_SUFFIXES
from mm_milvus.sources.table import open_table
from mm_milvus.text import is_utf8

TABLE_NAMES = tuple(
    f"{stem}{suffix}"
    for stem in ("captions", "metadata")
    for suffix in (".csv", ".tsv", ".jsonl", ".parquet")
)
"""The tables that a folder may have, the first one of which is read."""

_TABLES_READ = f"{' '.join(TABLE_NAMES)} at the top of the folder"

FILE_COLUMN = "file_name"
"""The column of images in Hugging Face's imagefolder, whatever other columns the table has."""

NO_CAPTIONS = frozenset(
    {
        *("readme", "license", "licence", "notice", "copying", "credits", "attribution"),
        *("classes", "labels", "dataset_info", "dataset_infos"),
    }
)
"""Stems of text files that many datasets contain, and that are not captions of an image."""


@dataclass(frozen=True, slots=True)
class _File:
    """An image of the folder, or something in it that cannot be used.

    Attributes:
        path: Relative to the root.
        sidecars: The sidecar files of an image, relative to the root.
        fault: Why it cannot be used; None for an image.
    """

    path: str
    sidecars: tuple[str, ...] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class _FolderTable:
    """A table in a folder, opened."""

    place: Place
    table: Table
    roles: ColumnRoles


@dataclass(frozen=True, slots=True)
class FolderSource:
    """The images of a folder, recursively in the order of names, without hidden files.

    The items of a table in the folder come first, in the order of its rows, then the images that
    it does not list.

    Attributes:
        root: The folder.
        size: The number of its images.
        template: A caption with `{}` for the name of the folder that an image is in.
        table: The table in the folder, if any.
        has_sidecars: Whether any image has a sidecar. A folder with a table mostly has none, and
            looking for them takes several calls of the filesystem per image.
    """

    root: Place
    size: int | None
    template: str | None
    table: _FolderTable | None
    has_sidecars: bool

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.name

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the items in a stable order."""
        return to_batches(self._drafts(), self.root.fetch.concurrency)

    def _drafts(self) -> Iterator[Draft]:
        kept, rejected = SeenIds(), SeenIds()
        if self.table is not None:
            yield from self._table_drafts(self.table, kept, rejected)
        for file in _walk(self.root):
            if self.table is not None and file.path == self.table.place.name:
                continue
            if file.path not in kept and file.path not in rejected:
                yield self.draft(file)

    def draft(self, file: _File) -> Draft:
        """Return the item of a file of the folder."""
        image = self.root.child(file.path)
        if file.fault is not None:
            return rejected_draft(file.path, image.uri, file.fault)
        draft = Draft(file.path, image.uri, image=image)
        self._describe(draft, file.sidecars)
        return draft

    def _describe(self, draft: Draft, sidecars: tuple[str, ...]) -> None:
        """Add the captions and metadata of the sidecars, and the caption from the folder's name."""
        for path in sidecars:
            try:
                sidecar = parse_sidecar(posixpath.basename(path), self.root.child(path).read())
            except Exception as error:  # each filesystem has errors of its own
                draft.rejected = f"its sidecar {path} cannot be used: {read_failure(error)}"
                return
            draft.captions += sidecar.captions
            draft.metadata = sidecar.metadata | draft.metadata
        folder = posixpath.basename(posixpath.dirname(draft.item_id))
        if self.template is not None and folder:
            draft.captions.append(self.template.replace("{}", folder))

    def _table_drafts(
        self, table: _FolderTable, kept: SeenIds, rejected: SeenIds
    ) -> Iterator[Draft]:
        for entry in read_entries(table.table, table.roles):
            try:
                draft = self._entry_draft(entry, table.place)
            except Exception as error:  # each filesystem has errors of its own
                reason = f"row {entry.number}: {read_failure(error)}"
                row_uri = f"{table.place.uri}#row={entry.number}"
                draft = rejected_draft(entry.item_id, row_uri, reason)
            if draft.rejected is not None:
                rejected.record(entry.item_id, entry.number)
            elif (first := kept.record(entry.item_id, entry.number)) != entry.number:
                reason = repeated_id(entry.number, entry.item_id, first)
                draft = rejected_draft(entry.item_id, draft.uri, reason)
            yield draft

    def _entry_draft(self, entry: Entry, table: Place) -> Draft:
        row_uri = f"{table.uri}#row={entry.number}"
        if entry.fault is not None:
            return to_draft(entry, table, None, row_uri)
        if entry.path is None:
            return rejected_draft(entry.item_id, row_uri, f"row {entry.number} names no file")
        try:
            image = resolve(entry.path, self.root)
        except ValueError as error:
            return rejected_draft(entry.path, row_uri, f"row {entry.number}: {error}")
        if image.fs is not self.root.fs or (is_uri(entry.path) and image.fs is not None):
            reason = f"row {entry.number}: {entry.path} is not a file of the folder"
            return rejected_draft(entry.path, row_uri, reason)
        if not image.is_file():
            reason = f"row {entry.number}: the image is missing from the folder"
            return rejected_draft(entry.path, image.uri, reason)
        entry.item_id = image.relative_to(self.root)
        entry.data = None
        draft = to_draft(entry, table, image, image.uri)
        sidecars = _sidecars_of(self.root, entry.item_id) if self.has_sidecars else ()
        self._describe(draft, sidecars)
        return draft


def open_folder(root: Place, options: SourceOptions) -> FolderSource:
    """Open a folder as a source.

    Raises:
        SourceError: When it contains no image, or its table cannot be read.
    """
    size, has_sidecars = _survey(root)
    if not size:
        raise SourceError(_why_empty(root))
    table = _find_table(root, options)
    return FolderSource(root, size, options.caption_from_folder, table, has_sidecars)


def _survey(root: Place) -> tuple[int, bool]:
    """Return the number of images in the folder, and whether any has a sidecar."""
    size, has_sidecars = 0, False
    for file in _walk(root):
        if _is_image(file.path):
            size += 1
            has_sidecars = has_sidecars or bool(file.sidecars)
    return size, has_sidecars


def _why_empty(root: Place) -> str:
    try:
        names = [entry.name for entry in root.entries() if not entry.name.startswith(".")]
    except OSError as error:
        return f"{root.uri} cannot be read: {read_failure(error)}; check its permissions"
    if not names:
        return f"{root.uri} is an empty folder; give one with images"
    if any(name.endswith(SHARD_SUFFIXES) for name in names):
        return f"{root.uri} holds no image, but tar shards: give them as {root.uri}/*.tar"
    if any(name.startswith("part-") and name.endswith(".parquet") for name in names):
        return f"{root.uri} holds no image, but Parquet: if it is encoded, read it as `embeddings`"
    return f"{root.uri} holds no image; the suffixes are {' '.join(sorted(IMAGE_SUFFIXES))}"


def _find_table(root: Place, options: SourceOptions) -> _FolderTable | None:
    for name in TABLE_NAMES:
        place = root.child(name)
        if place.is_file():
            table = open_table(place, options)
            if options.image_column is None and FILE_COLUMN in table.columns:
                options = replace(options, image_column=FILE_COLUMN)
            return _FolderTable(place, table, find_roles(place, table.columns, options))
    if options.image_column or options.caption_columns:
        raise SourceError(
            f"{root.uri} has no table for the columns to be in: leave them out, or add one of "
            f"{' '.join(TABLE_NAMES)}"
        )
    return None


def _walk(root: Place) -> Iterator[_File]:
    """Yield the images of a folder, and what cannot be used, in the order of names."""
    visited: set[object] = set()
    stack = [""]
    while stack:
        folder = stack.pop()
        place = root.child(folder) if folder else root
        try:
            identity = place.identity()
            # Links may lead back up; a folder that is reached twice is read once.
            if identity in visited:
                continue
            visited.add(identity)
            listing = place.entries()
        except Exception as error:  # each filesystem has errors of its own
            yield _File(f"{folder}/", fault=f"the folder cannot be read: {read_failure(error)}")
            continue
        visible = [entry for entry in listing if not entry.name.startswith(".")]
        yield from _files(folder, [entry.name for entry in visible if not entry.is_dir])
        folders = [posixpath.join(folder, entry.name) for entry in visible if entry.is_dir]
        stack += reversed(folders)


def _files(folder: str, names: list[str]) -> Iterator[_File]:
    """Yield the images among the files of one folder, then the sidecars without an image."""
    images = {}
    sidecars: dict[str, list[str]] = {}
    for name in names:
        suffix = PurePosixPath(name).suffix
        path = posixpath.join(folder, name)
        if _is_image(name):
            images[path] = name[: -len(suffix)]
        elif name in TABLE_NAMES:
            yield _File(path, fault=f"this table is not read, only the first of: {_TABLES_READ}")
        elif suffix.lower() in SIDECAR_SUFFIXES:
            sidecars.setdefault(name[: -len(suffix)], []).append(path)
    for path, stem in images.items():
        fault = None if is_utf8(path) else "the file name is not valid UTF-8: rename the file"
        yield _File(path, tuple(sidecars.get(stem, ())), fault)
    orphans = sidecars.keys() - set(images.values())
    for stem in sorted(stem for stem in orphans if stem.lower() not in NO_CAPTIONS):
        for path in sidecars[stem]:
            yield _File(path, fault="no image has the same name as these captions")


@dataclass(frozen=True, slots=True)
class ImageSource:
    """One image file, with its sidecars: a dataset of one item.

    Attributes:
        image: The file.
        size: Always 1.
    """

    image: Place
    size: int = 1

    @property
    def name(self) -> str:
        """The file's name, without its suffix."""
        return PurePosixPath(self.image.name).stem

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the item."""
        folder = FolderSource(self.image.parent, 1, None, None, has_sidecars=True)
        file = _File(self.image.name, _sidecars_of(folder.root, self.image.name))
        return to_batches([folder.draft(file)])


def _is_image(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


def _sidecars_of(root: Place, path: str) -> tuple[str, ...]:
    stem = path[: -len(PurePosixPath(path).suffix)] if PurePosixPath(path).suffix else path
    candidates = (stem + suffix for suffix in SIDECAR_SUFFIXES)
    return tuple(candidate for candidate in candidates if root.child(candidate).is_file())
