"""A folder of images, with captions in sidecar files, in a table, or in the folders' names."""

from __future__ import annotations

import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import pyarrow as pa

from mm_milvus.errors import SourceError
from mm_milvus.files import Place, is_uri, read_failure
from mm_milvus.images.suffixes import IMAGE_SUFFIXES, has_image_suffix
from mm_milvus.sources.base import Draft, SeenIds, rejected_draft, to_batches
from mm_milvus.sources.csv_records import share_types
from mm_milvus.sources.entries import (
    Entry,
    SeenRows,
    resolve,
    row_uri,
    to_draft,
)
from mm_milvus.sources.gather import read_entries
from mm_milvus.sources.near_paths import NearPaths
from mm_milvus.sources.options import SourceOptions
from mm_milvus.sources.records import Part, Table, as_part
from mm_milvus.sources.roles import ColumnRoles, find_roles
from mm_milvus.sources.sidecar import parse_sidecar
from mm_milvus.sources.suffixes import SIDECAR_SUFFIXES, is_description, kind_of
from mm_milvus.sources.table import image_root, open_table
from mm_milvus.sources.walk import walk
from mm_milvus.text import is_utf8

TABLE_NAMES = tuple(
    f"{stem}{suffix}"
    for stem in ("captions", "metadata")
    for suffix in (".csv", ".tsv", ".jsonl", ".parquet")
)
"""The tables that a folder may have, the first one of which is read."""

TEXT_TABLE_NAMES = ("captions.txt", "captions.json", "metadata.json")
"""The table of a folder without another one, if it has a column of images: Kaggle's Flickr8k."""

_TABLES_READ = f"{' '.join(TABLE_NAMES)} of each folder"

FILE_COLUMN = "file_name"
"""The column of images in Hugging Face's imagefolder, whatever other columns the table has."""

_UNUSED = "no image has the same name as these captions"

_TAKEOUT = "supplemental-metadata"
"""What Google Takeout puts between the name of an image and `.json`, or the beginning of it."""

TAKEOUT_LENGTH = 46
"""Characters to which Google Takeout cuts the name of a JSON file, without its suffix."""


@dataclass(frozen=True, slots=True)
class _File:
    """An image of the folder, or something in it that cannot be used.

    Attributes:
        path: Relative to the root.
        sidecars: The sidecar files of an image, relative to the root.
        fault: Why it cannot be used; None for an image.
        table: Whether it is the table of its folder.
    """

    path: str
    sidecars: tuple[str, ...] = ()
    fault: str | None = None
    table: bool = False


@dataclass(frozen=True, slots=True)
class _FolderTable:
    """A table in a folder, opened; `images` is the folder that its paths are relative to."""

    place: Place
    table: Table
    roles: ColumnRoles
    images: Place


@dataclass(frozen=True, slots=True)
class FolderSource:
    """The images of a folder, recursively in the order of names, without hidden files.

    The items of tables come first, in the order of their rows, then the images that they do not
    list. Each folder may have a table, for the images in it and below. The folder of an item is
    metadata: `folder` is its path relative to the root, and `folders` lists the parts of it.

    Attributes:
        root: The folder.
        size: The number of its images.
        template: A caption with `{}` for the name of the folder that an image is in.
        tables: The tables in the folder and below.
        table_faults: Why tables below the folder cannot be used, by their paths.
        has_sidecars: Whether any image has a sidecar. A folder with a table mostly has none, and
            looking for them takes several calls of the filesystem per image.
        skipped_files: The numbers of files that are not read as images, captions or tables, by
            suffix.
        encoding: Of captions in sidecars, where they are neither UTF-8 nor UTF-16.
    """

    root: Place
    size: int | None
    template: str | None
    tables: tuple[_FolderTable, ...] = ()
    table_faults: Mapping[str, str] = field(default_factory=dict)
    has_sidecars: bool = False
    skipped_files: Mapping[str, int] = field(default_factory=dict)
    encoding: str | None = None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.name

    @property
    def notes(self) -> Mapping[str, int]:
        """What users should know of the items that were read last, with its numbers."""
        return sum((table.table.notes for table in self.tables), Counter[str]())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the items in a stable order."""
        return to_batches(self._drafts(), self.root.fetch.concurrency)

    def _drafts(self) -> Iterator[Draft]:
        kept, rejected = SeenRows(), SeenIds()
        for table in self.tables:
            yield from self._table_drafts(table, kept, rejected)
        for file in _walk(self.root):
            if file.table:
                if fault := self.table_faults.get(file.path):
                    yield rejected_draft(file.path, self.root.child(file.path).uri, fault)
            elif file.path not in kept and file.path not in rejected:
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
                sidecar = parse_sidecar(
                    posixpath.basename(path), self.root.child(path).read(), self.encoding
                )
            except Exception as error:  # each filesystem has errors of its own
                draft.rejected = f"its sidecar {path} cannot be used: {read_failure(error)}"
                return
            draft.captions += sidecar.captions
            draft.metadata = sidecar.metadata | draft.metadata
        folder = posixpath.dirname(draft.item_id)
        if folder:
            draft.metadata = {"folder": folder, "folders": folder.split("/")} | draft.metadata
            if self.template is not None:
                draft.captions.append(self.template.replace("{}", posixpath.basename(folder)))

    def _table_drafts(
        self, table: _FolderTable, kept: SeenRows, rejected: SeenIds
    ) -> Iterator[Draft]:
        near = NearPaths(table.images)
        for entry in read_entries(table.table, table.roles):
            try:
                draft = self._entry_draft(entry, table, near)
            except Exception as error:  # each filesystem has errors of its own
                reason = f"{entry.where}: {read_failure(error)}"
                draft = rejected_draft(entry.item_id, row_uri(table.place, entry), reason)
            if draft.rejected is not None:
                rejected.record(entry.item_id, entry.number)
            elif (repeated := kept.record(entry)) is not None:
                draft = rejected_draft(entry.item_id, draft.uri, repeated)
            yield draft

    def _entry_draft(self, entry: Entry, table: _FolderTable, near: NearPaths) -> Draft:
        uri = row_uri(table.place, entry)
        at_root = table.images.is_at(self.root)
        folder = "" if at_root else table.images.relative_to(self.root)
        if folder and entry.path is not None and not is_uri(entry.path):
            path = posixpath.normpath(posixpath.join(folder, entry.path))
            entry.item_id = path if path.startswith(f"{folder}/") else entry.path
        if entry.fault is not None:
            return to_draft(entry, None, uri)
        if entry.path is None:
            entry.item_id = posixpath.join(folder, entry.item_id)
            draft = to_draft(entry, None, uri)
            self._describe(draft, ())
            return draft
        try:
            image = resolve(entry.path, table.images)
        except ValueError as error:
            return rejected_draft(entry.path, uri, f"{entry.where}: {error}")
        if image.fs is not self.root.fs or (is_uri(entry.path) and image.fs is not None):
            reason = f"{entry.where}: {entry.path} is not a file of the folder"
            return rejected_draft(entry.path, uri, reason)
        if not image.is_file() and (found := near.find(entry.path)):
            image, note = found
            table.table.notes[note] += 1
        if not image.is_file():
            reason = (
                f"{entry.where}: the image is missing from the folder; if it is in a "
                "subfolder, name that as `image_root`"
            )
            return rejected_draft(entry.item_id, image.uri, reason)
        entry.item_id = image.relative_to(self.root)
        entry.data = None
        draft = to_draft(entry, image, image.uri)
        sidecars = _sidecars_of(self.root, entry.item_id) if self.has_sidecars else ()
        self._describe(draft, sidecars)
        return draft


def open_folder(root: Place, options: SourceOptions) -> FolderSource | None:
    """Open a folder as a source; None where it contains no image.

    Raises:
        SourceError: When its table cannot be read.
    """
    size, has_sidecars, table_paths, skipped = 0, False, [], Counter[str]()
    for file in _walk(root, skipped):
        if file.table:
            table_paths.append(file.path)
        elif has_image_suffix(file.path):
            size += 1
            has_sidecars = has_sidecars or bool(file.sidecars)
    if not size:
        return None
    tables, faults = _open_tables(root, table_paths, options)
    template = options.caption_from_folder
    return FolderSource(
        root, size, template, tables, faults, has_sidecars, dict(skipped), options.encoding
    )


def why_empty(root: Place) -> str:
    """Return why a folder is no source."""
    try:
        names = [entry.name for entry in root.entries() if not entry.name.startswith(".")]
    except OSError as error:
        return f"{root.uri} cannot be read: {read_failure(error)}; check its permissions"
    if not names:
        return f"{root.uri} is an empty folder; give one with images"
    found = Counter(map(kind_of, names))
    most = sorted(found.items(), key=lambda count: (-count[1], count[0]))[:5]
    listed = ", ".join(f"{count:,} {suffix}" for suffix, count in most)
    if any(name.startswith("_") for name in names):
        listed += "; tables and shards whose names begin with _ are not read"
    return (
        f"{root.uri} holds no image, table or tar shard that can be read (it has {listed}); the "
        f"suffixes of images are {' '.join(sorted(IMAGE_SUFFIXES))}"
    )


def _open_tables(
    root: Place, paths: list[str], options: SourceOptions
) -> tuple[tuple[_FolderTable, ...], dict[str, str]]:
    """Open the tables of a folder; return those, and why others below it cannot be used."""
    if not paths and (options.image_column or options.caption_columns):
        raise SourceError(
            f"{root.uri} has no table for the columns to be in: leave them out, or add one of "
            f"{' '.join(TABLE_NAMES)}"
        )
    tables, faults = [], {}
    for path in paths:
        try:
            table = _open_table(root, path, options)
            if len(paths) > 1:
                part = Part(table.place, path, table.images)
                table = replace(table, table=as_part(table.table, part))
            tables.append(table)
        except SourceError as error:
            is_meant = options.image_root or options.image_column
            if posixpath.basename(path) in TEXT_TABLE_NAMES and not is_meant:
                faults[path] = f"{_UNUSED}, and it is no table: {error}"
                continue
            # The table of the folder itself is what the options are for.
            if len(paths) == 1 or "/" not in path:
                raise
            faults[path] = str(error)
    share_types(table.table for table in tables)
    return tuple(tables), faults


def _open_table(root: Place, path: str, options: SourceOptions) -> _FolderTable:
    place = root.child(path)
    table = open_table(place, options)
    # The table of the folder itself is what the option is for.
    images = place.parent if "/" in path else image_root(place, options)
    if not (images.is_at(root) or images.is_under(root)):
        raise SourceError(
            f"`image_root` is {options.image_root}, which is not in {root.uri}: give the table "
            "itself, or the folder that has both"
        )
    if options.image_column is None and FILE_COLUMN in table.columns:
        options = replace(options, image_column=FILE_COLUMN)
    roles = find_roles(place, table.columns, options, ids_are_paths=True)
    return _FolderTable(place, table, roles, images)


def _walk(root: Place, skipped: Counter[str] | None = None) -> Iterator[_File]:
    """Yield the images of a folder, its tables, and what cannot be used, in the order of names.

    Args:
        root: The folder.
        skipped: Receives the numbers of other files, by suffix.
    """
    skipped = Counter() if skipped is None else skipped
    for folder, names in walk(root):
        if isinstance(names, str):
            yield _File(f"{folder}/", fault=names)
        else:
            yield from _files(folder, names, skipped)


def _files(folder: str, names: list[str], skipped: Counter[str]) -> Iterator[_File]:
    """Yield the images among the files of one folder, then its table, then unused captions."""
    tables = [name for name in TABLE_NAMES if name in names]
    images = [name for name in names if has_image_suffix(name)]
    sidecars: dict[str, list[str]] = {}
    unused: list[tuple[str, str]] = []
    by_name = _images_by_name(images)
    if not tables and not folder:
        tables = [
            name
            for name in TEXT_TABLE_NAMES
            if name in names and by_name.find(PurePosixPath(name).stem) is None
        ][:1]
    for name in names:
        path = posixpath.join(folder, name)
        suffix = PurePosixPath(name).suffix
        if name in tables or name in by_name.images:
            continue
        stem = name[: len(name) - len(suffix)]
        image = by_name.find(stem) if suffix.lower() in SIDECAR_SUFFIXES else None
        if image is not None:
            for owner in image:
                sidecars.setdefault(owner, []).append(path)
        elif is_description(name):
            continue
        elif suffix.lower() in SIDECAR_SUFFIXES:
            unused.append((path, stem))
        else:
            skipped[kind_of(name)] += 1
    for name in images:
        path = posixpath.join(folder, name)
        fault = None if is_utf8(path) else "the file name is not valid UTF-8: rename the file"
        yield _File(path, tuple(sidecars.get(name, ())), fault)
    for name in tables[:1]:
        yield _File(posixpath.join(folder, name), table=True)
    for name in tables[1:]:
        fault = f"this table is not read, only the first of: {_TABLES_READ}"
        yield _File(posixpath.join(folder, name), fault=fault)
    by_folded = by_name.by_folded_stem() if unused else {}
    for path, stem in unused:
        yield _File(path, fault=_why_unused(stem, by_folded))


@dataclass(frozen=True, slots=True)
class _ImagesByName:
    """The images of one folder, by the stems that their sidecars may have.

    Attributes:
        images: The names of the images.
        by_stem: The images by their names with and without suffix, in Unicode's NFC.
        by_start: Images with long names, by the first `TAKEOUT_LENGTH` characters of these.
    """

    images: frozenset[str]
    by_stem: Mapping[str, list[str]]
    by_start: Mapping[str, list[str]]

    def find(self, stem: str) -> list[str] | None:
        """Return the images that a sidecar without its suffix is named after; None without any."""
        stem = unicodedata.normalize("NFC", stem)
        if stem in self.by_stem:
            return self.by_stem[stem]
        name, _, rest = stem.rpartition(".")
        if rest and _TAKEOUT.startswith(rest) and name in self.images:
            return [name]
        if len(stem) == TAKEOUT_LENGTH:
            longer = self.by_start.get(stem, [])
            return longer if len(longer) == 1 else None
        return None

    def by_folded_stem(self) -> dict[str, str]:
        """Return the first image of each stem by the stem without letter case."""
        by_folded: dict[str, str] = {}
        for stem, names in self.by_stem.items():
            by_folded.setdefault(stem.casefold(), names[0])
        return by_folded


def _images_by_name(names: list[str]) -> _ImagesByName:
    by_stem: dict[str, list[str]] = {}
    by_start: dict[str, list[str]] = {}
    for name in names:
        if len(name) >= TAKEOUT_LENGTH:
            by_start.setdefault(name[:TAKEOUT_LENGTH], []).append(name)
        for stem in (name, name[: -len(PurePosixPath(name).suffix)]):
            by_stem.setdefault(unicodedata.normalize("NFC", stem), []).append(name)
    return _ImagesByName(frozenset(names), by_stem, by_start)


def _why_unused(stem: str, by_folded: Mapping[str, str]) -> str:
    reason = _UNUSED
    name = by_folded.get(unicodedata.normalize("NFC", stem).casefold())
    return f"{reason}; {name} differs in letter case: rename one of them" if name else reason


@dataclass(frozen=True, slots=True)
class ImageSource:
    """One image file, with its sidecars: a dataset of one item.

    Attributes:
        image: The file.
        size: Always 1.
        encoding: Of captions in sidecars, where they are neither UTF-8 nor UTF-16.
    """

    image: Place
    size: int = 1
    encoding: str | None = None

    @property
    def name(self) -> str:
        """The file's name, without its suffix."""
        return PurePosixPath(self.image.name).stem

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the item."""
        folder = FolderSource(self.image.parent, 1, None, encoding=self.encoding)
        file = _File(self.image.name, _sidecars_of(folder.root, self.image.name))
        return to_batches([folder.draft(file)], self.image.fetch.concurrency)


def _sidecars_of(root: Place, path: str) -> tuple[str, ...]:
    suffix = PurePosixPath(path).suffix
    stems = dict.fromkeys((path[: len(path) - len(suffix)], path, f"{path}.{_TAKEOUT}"))
    candidates = (stem + suffix for stem in stems for suffix in SIDECAR_SUFFIXES)
    return tuple(candidate for candidate in candidates if root.child(candidate).is_file())
