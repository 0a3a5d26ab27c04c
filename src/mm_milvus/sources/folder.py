"""A folder of images: captions in sidecar files, in a table, or in the names of its folders."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import pyarrow as pa

from mm_milvus.errors import SourceError
from mm_milvus.files import Place, is_uri, read_failure
from mm_milvus.sources.base import Draft, Ids, reject, to_batches
from mm_milvus.sources.options import SourceOptions
from mm_milvus.sources.records import Table, open_table
from mm_milvus.sources.sidecar import SUFFIXES as SIDECAR_SUFFIXES
from mm_milvus.sources.sidecar import parse_sidecar
from mm_milvus.sources.table import Entry, Roles, draft_of, entries, find_roles, repeats, resolve
from mm_milvus.text import is_utf8

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")
)
TABLE_NAMES = tuple(
    f"{stem}{suffix}"
    for stem in ("captions", "metadata")
    for suffix in (".csv", ".tsv", ".jsonl", ".parquet")
)
_TABLES_READ = f"{' '.join(TABLE_NAMES)} at the top of the folder"
FILE_COLUMN = "file_name"
"""What Hugging Face's imagefolder calls the column of images, whatever other columns there are."""

NO_CAPTIONS = frozenset(
    {
        *("readme", "license", "licence", "notice", "copying", "credits", "attribution"),
        *("classes", "labels", "dataset_info", "dataset_infos"),
    }
)
"""Files of text that lie in many data sets, and whose missing image is no mistake."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A file of the folder that matters.

    path      relative to the root
    sidecars  of an image: the files of the same stem, relative to the root
    fault     why it is no image, though something is wanted of it
    """

    path: str
    sidecars: tuple[str, ...] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class _FolderTable:
    place: Place
    table: Table
    roles: Roles


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder, read recursively in the order of names; hidden files are left out.

    A table in it comes first, in its own order; then the images that it does not list.

    sidecars  whether any image has one: a folder with a table mostly has none, and to look for
              each is several calls of the filesystem an image
    """

    root: Place
    size: int | None
    template: str | None
    listed: _FolderTable | None
    sidecars: bool

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.name

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The items, in a stable order."""
        return to_batches(self._drafts())

    def _drafts(self) -> Iterator[Draft]:
        kept, refused = Ids(), Ids()
        if self.listed is not None:
            yield from self._listed_drafts(self.listed, kept, refused)
        for found in _walk(self.root):
            if self.listed is not None and found.path == self.listed.place.name:
                continue
            if found.path not in kept and found.path not in refused:
                yield self._draft(found)

    def _draft(self, found: _Found) -> Draft:
        image = self.root.child(found.path)
        if found.fault is not None:
            return reject(found.path, image.uri, found.fault)
        draft = Draft(found.path, image.uri, image=image)
        self._describe(draft, found.sidecars)
        return draft

    def _describe(self, draft: Draft, sidecars: tuple[str, ...]) -> None:
        """Add what the sidecars and the folder's name say."""
        for path in sidecars:
            try:
                said = parse_sidecar(posixpath.basename(path), self.root.child(path).read())
            except Exception as error:  # each filesystem has errors of its own
                draft.rejected = f"its sidecar {path} cannot be used: {read_failure(error)}"
                return
            draft.captions += said.captions
            draft.metadata = said.metadata | draft.metadata
        folder = posixpath.basename(posixpath.dirname(draft.item_id))
        if self.template is not None and folder:
            draft.captions.append(self.template.replace("{}", folder))

    def _listed_drafts(self, listed: _FolderTable, kept: Ids, refused: Ids) -> Iterator[Draft]:
        for entry in entries(listed.table, listed.roles):
            try:
                draft = self._listed_draft(entry, listed.place)
            except Exception as error:  # each filesystem has errors of its own
                why = f"row {entry.number}: {read_failure(error)}"
                draft = reject(entry.item_id, f"{listed.place.uri}#row={entry.number}", why)
            if draft.rejected is not None:
                refused.first(entry.item_id, entry.number)
            elif (first := kept.first(entry.item_id, entry.number)) != entry.number:
                why = repeats(entry.number, entry.item_id, first)
                draft = reject(entry.item_id, draft.uri, why)
            yield draft

    def _listed_draft(self, entry: Entry, table: Place) -> Draft:
        row_uri = f"{table.uri}#row={entry.number}"
        if entry.fault is not None:
            return draft_of(entry, table, None, row_uri)
        if entry.path is None:
            return reject(entry.item_id, row_uri, f"row {entry.number} names no file")
        try:
            image = resolve(entry.path, self.root)
        except ValueError as error:
            return reject(entry.path, row_uri, f"row {entry.number}: {error}")
        if image.fs is not self.root.fs or (is_uri(entry.path) and image.fs is not None):
            why = f"row {entry.number}: {entry.path} is not a file of the folder"
            return reject(entry.path, row_uri, why)
        if not image.is_file():
            why = f"row {entry.number}: the image is missing from the folder"
            return reject(entry.path, image.uri, why)
        entry.item_id = image.relative_to(self.root)
        entry.data = None
        draft = draft_of(entry, table, image, image.uri)
        self._describe(draft, _sidecars_of(self.root, entry.item_id) if self.sidecars else ())
        return draft


def open_folder(root: Place, options: SourceOptions) -> FolderSource:
    """Open a folder. Raises `SourceError` when there is no image in it."""
    size, sidecars = _survey(root)
    if not size:
        raise SourceError(_why_empty(root))
    listed = _find_table(root, options)
    return FolderSource(root, size, options.caption_from_folder, listed, sidecars)


def _survey(root: Place) -> tuple[int, bool]:
    """How many images the folder has that can be reached, and whether any has a sidecar."""
    size, sidecars = 0, False
    for found in _walk(root):
        if _is_image(found.path):
            size += 1
            sidecars = sidecars or bool(found.sidecars)
    return size, sidecars


def _why_empty(root: Place) -> str:
    try:
        names = [entry.name for entry in root.entries() if not entry.name.startswith(".")]
    except OSError as error:
        return f"{root.uri} cannot be read: {read_failure(error)}; check its permissions"
    if not names:
        return f"{root.uri} is an empty folder; give one with images"
    if any(name.endswith((".tar", ".tgz", ".tar.gz")) for name in names):
        return f"{root.uri} holds no image, but tar shards: give them as {root.uri}/*.tar"
    if any(name.startswith("part-") and name.endswith(".parquet") for name in names):
        return f"{root.uri} holds no image, but Parquet: if it is encoded, add --embeddings"
    return f"{root.uri} holds no image; the suffixes are {' '.join(sorted(IMAGE_SUFFIXES))}"


def _find_table(root: Place, options: SourceOptions) -> _FolderTable | None:
    for name in TABLE_NAMES:
        place = root.child(name)
        if place.is_file():
            table = open_table(place, options.delimiter)
            if options.image_column is None and FILE_COLUMN in table.columns:
                options = replace(options, image_column=FILE_COLUMN)
            return _FolderTable(place, table, find_roles(place, table.columns, options))
    if options.image_column or options.caption_columns:
        raise SourceError(
            f"{root.uri} has no table for the columns to be in: leave them out, or add one of "
            f"{' '.join(TABLE_NAMES)}"
        )
    return None


def _walk(root: Place) -> Iterator[_Found]:
    """Images, and what cannot be used, in the order of names."""
    visited: set[object] = set()
    stack = [""]
    while stack:
        folder = stack.pop()
        place = root.child(folder) if folder else root
        try:
            identity = place.identity()
            # Links may lead back up; whatever is reached twice is read once.
            if identity in visited:
                continue
            visited.add(identity)
            listing = place.entries()
        except Exception as error:  # each filesystem has errors of its own
            yield _Found(f"{folder}/", fault=f"the folder cannot be read: {read_failure(error)}")
            continue
        visible = [entry for entry in listing if not entry.name.startswith(".")]
        yield from _files(folder, [entry.name for entry in visible if not entry.is_dir])
        folders = [posixpath.join(folder, entry.name) for entry in visible if entry.is_dir]
        stack += reversed(folders)


def _files(folder: str, names: list[str]) -> Iterator[_Found]:
    """The images among the files of one folder, and the sidecars that have none."""
    images = {}
    sidecars: dict[str, list[str]] = {}
    for name in names:
        suffix = PurePosixPath(name).suffix
        path = posixpath.join(folder, name)
        if _is_image(name):
            images[path] = name[: -len(suffix)]
        elif name in TABLE_NAMES:
            yield _Found(path, fault=f"this table is not read, only the first of: {_TABLES_READ}")
        elif suffix.lower() in SIDECAR_SUFFIXES:
            sidecars.setdefault(name[: -len(suffix)], []).append(path)
    for path, stem in images.items():
        fault = None if is_utf8(path) else "the file name is not valid UTF-8: rename the file"
        yield _Found(path, tuple(sidecars.get(stem, ())), fault)
    orphans = sidecars.keys() - set(images.values())
    for stem in sorted(stem for stem in orphans if stem.lower() not in NO_CAPTIONS):
        for path in sidecars[stem]:
            yield _Found(path, fault="no image has the same name as these captions")


@dataclass(frozen=True, slots=True)
class ImageSource:
    """One image file, with its sidecars: a data set of one item."""

    image: Place
    size: int = 1

    @property
    def name(self) -> str:
        """The file's name, without its suffix."""
        return PurePosixPath(self.image.name).stem

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The item."""
        folder, path = (
            FolderSource(self.image.parent, 1, None, None, sidecars=True),
            self.image.name,
        )
        found = _Found(path, _sidecars_of(folder.root, path))
        return to_batches(draft for draft in [folder._draft(found)])


def _is_image(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


def _sidecars_of(root: Place, path: str) -> tuple[str, ...]:
    stem = path[: -len(PurePosixPath(path).suffix)] if PurePosixPath(path).suffix else path
    candidates = (stem + suffix for suffix in SIDECAR_SUFFIXES)
    return tuple(candidate for candidate in candidates if root.child(candidate).is_file())
