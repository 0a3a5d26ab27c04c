"""Folders whose items are inside their files: parts of a table, tar shards, Hugging Face datasets.

A dataset has one or more splits, and a split has one or more parts: tables whose columns have the
same roles, or shards. The name of a split is metadata (`split`), and begins the ids of its items,
as numbers of rows, file names of images and keys occur in each split.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa

from mm_milvus.errors import SourceError
from mm_milvus.files import Place, read_failure
from mm_milvus.sources.base import Draft, rejected_draft, to_batches
from mm_milvus.sources.csv_records import share_types
from mm_milvus.sources.options import SourceOptions
from mm_milvus.sources.records import Part, Row, Table, as_part, without_compression
from mm_milvus.sources.roles import (
    ColumnRoles,
    by_numbers,
    find_roles,
    has_captions,
    has_images,
    roles_of_parts,
)
from mm_milvus.sources.suffixes import SHARD_SUFFIXES, is_description, kind_of
from mm_milvus.sources.table import TableSource, image_root, open_table
from mm_milvus.sources.walk import walk
from mm_milvus.sources.webdataset import WebDatasetSource, without_shard_suffix

SPLITS = (
    *("training", "train", "testing", "test"),
    *("validation", "valid", "val", "dev", "evaluation", "eval"),
)
"""Names of splits, in lower case."""

_SPLIT = re.compile(
    rf"(?:.*[-_. =])?({'|'.join(SPLITS)})"
    # Then numbers, as in train_0, train-part-0, val2017, test_data.1 and train-00000-of-00001-0f3a.
    # The quantifiers are possessive: a name of many digits would take exponential time.
    r"(?:[-_. ]?(?:data|set|split|part|chunk|shard|v?[0-9]++))*+"
    r"(?:-of-[0-9]++(?:-[0-9a-f]++)?+)?+",
    re.IGNORECASE | re.DOTALL,
)
"""Names of files, without suffixes, and of folders that are of a split."""

PART_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".ipc")
"""Tables; a file of text or JSON in a folder is about something else."""

COUNTED_SUFFIX = ".parquet"
"""The format whose files have the number of their rows, at their end."""

HIDDEN = (".", "_")
"""What names of files and folders begin with that are about a table, as those of Spark and Delta
Lake: `_SUCCESS`, `_temporary`, `_delta_log`."""

DATASET, DATASETS, STATE = "dataset_info.json", "dataset_dict.json", "state.json"
"""What Hugging Face's `save_to_disk` writes next to a dataset, to several, and to a dataset."""

OF_EMBEDDINGS = frozenset({"content_hash", "image_embedding", "caption_embeddings"})


@dataclass(frozen=True, slots=True)
class PartsSource:
    """The items of the splits of a dataset.

    Attributes:
        root: The folder.
        splits: The table or the shards of each split, by its name; "" where there are no splits.
        roles: Which column of the tables is what; None for shards.
        faults: Why parts, or folders of parts, cannot be read, by their path in the folder.
        skipped_files: The numbers of files that hold no items, by suffix.
    """

    root: Place
    splits: Mapping[str, TableSource | WebDatasetSource]
    roles: ColumnRoles | None = None
    faults: Mapping[str, str] = field(default_factory=dict)
    skipped_files: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.name

    @property
    def size(self) -> int | None:
        """The number of rows; None where a part does not have it."""
        return _sum([source.size for source in self.splits.values()])

    @property
    def notes(self) -> Mapping[str, int]:
        """What users should know of the items that were read last, with its numbers."""
        tables = (source for source in self.splits.values() if isinstance(source, TableSource))
        return sum((Counter(table.notes) for table in tables), Counter[str]())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the items of all splits, in the order of their parts."""
        return to_batches(self._drafts(), self.root.fetch.concurrency)

    def _drafts(self) -> Iterator[Draft]:
        for split, source in self.splits.items():
            for draft in source.drafts():
                if split:
                    draft.item_id = f"{split}/{draft.item_id}"
                    draft.metadata = {"split": split} | draft.metadata
                yield draft
        for path, fault in self.faults.items():
            yield rejected_draft(path, self.root.child(path).uri, fault)


def is_saved_dataset(root: Place) -> bool:
    """Return whether Hugging Face's `save_to_disk` wrote a folder."""
    names = {entry.name for entry in root.entries()}
    return DATASETS in names or {DATASET, STATE} <= names


def open_saved_dataset(root: Place, options: SourceOptions) -> PartsSource:
    """Open a folder that `save_to_disk` wrote.

    Raises:
        SourceError: When its files are damaged, or its rows are chosen by an index.
    """
    if root.child(DATASETS).is_file():
        splits = _read_json(root.child(DATASETS)).get("splits") or []
        parts = {str(split): _saved_parts(root, str(split)) for split in splits}
    else:
        parts = {"": _saved_parts(root, "")}
    return _open_splits(root, parts, options, _list(root))


def _saved_parts(root: Place, split: str) -> list[str]:
    folder = root.child(split) if split else root
    state = _read_json(folder.child(STATE))
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise SourceError(
            f"{folder.uri} has its rows in the order of an index, which is not read: save it "
            "again after flatten_indices()"
        )
    names = [str(file["filename"]) for file in state.get("_data_files") or []]
    return [posixpath.join(split, posixpath.basename(name)) for name in names]


def _read_json(place: Place) -> dict[str, Any]:
    try:
        content = json.loads(place.read())
    except Exception as error:  # each filesystem has errors of its own
        raise SourceError(
            f"{place.uri} cannot be read: {read_failure(error)}; save the dataset again"
        ) from error
    return content if isinstance(content, dict) else {}


def open_parts(root: Place, options: SourceOptions) -> PartsSource | None:
    """Open a folder without images by the tar shards in it, or else by the parts of its tables.

    Returns:
        The source; None for a folder that has neither.

    Raises:
        SourceError: When the tables cannot be read together.
    """
    listing = _list(root)
    shards = [path for path in listing.paths if path.lower().endswith(SHARD_SUFFIXES)]
    if not shards:
        tables = [path for path in listing.paths if _is_part(path)]
        return _open_splits(root, _by_split(tables), options, listing) if tables else None
    sources = {}
    for split, paths in _by_split(shards).items():
        places = tuple(map(root.child, paths))
        sources[split] = WebDatasetSource(root.name, places, options.shard_ids, options.encoding)
    skipped = listing.skipped(shards)
    return PartsSource(root, sources, None, listing.faults, skipped)


@dataclass(slots=True)
class _Listing:
    """The files of a folder, by their paths, and why folders in it cannot be listed."""

    paths: list[str]
    faults: dict[str, str]

    def skipped(self, read: Iterable[str]) -> Counter[str]:
        """Return the numbers of the files that are not read, by suffix."""
        rest = set(self.paths).difference(read)
        names = (posixpath.basename(path) for path in rest)
        known = {DATASET, DATASETS, STATE}
        return Counter(
            kind_of(name) for name in names if name not in known and not is_description(name)
        )


def _list(root: Place) -> _Listing:
    paths: list[str] = []
    faults: dict[str, str] = {}
    for folder, names in walk(root, HIDDEN):
        if isinstance(names, str):
            faults[folder] = names
        else:
            paths += (posixpath.join(folder, name) for name in names)
    return _Listing(sorted(paths, key=by_numbers), faults)


def _is_part(path: str) -> bool:
    # Hugging Face keeps results of computations in files that begin so.
    is_cached = posixpath.basename(path).startswith("cache-")
    return without_compression(path).lower().endswith(PART_SUFFIXES) and not is_cached


def _by_split(paths: list[str]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {}
    for path in paths:
        splits.setdefault(split_of(path), []).append(path)
    return splits


def split_of(path: str) -> str:
    """Return the split that the path of a part names; "" for none.

    The name of the file decides, or else the innermost folder that is named after a split.
    """
    *folders, name = path.split("/")
    stem = without_shard_suffix(name)
    if stem == name:
        stem = posixpath.splitext(without_compression(name))[0]
    for part in (name.split(".")[0], stem, *reversed(folders)):
        if match := _SPLIT.fullmatch(part):
            return match[1]
    return ""


def _open_splits(
    root: Place, parts: Mapping[str, list[str]], options: SourceOptions, listing: _Listing
) -> PartsSource:
    """Open the tables of each split, by the paths of its parts."""
    paths = [path for paths in parts.values() for path in paths]
    tables, damaged = _open_tables(root, paths, options)
    others = _other_tables(root, tables, options)
    tables = {path: table for path, table in tables.items() if path not in others}
    columns = {root.child(path): table.columns for path, table in tables.items()}
    roles = roles_of_parts(root, columns, options)
    share_types(tables.values())
    splits = {}
    for split, paths in parts.items():
        own = [path for path in paths if path in tables or path in damaged]
        if not tables.keys().isdisjoint(own):
            joined = _join(root, own, tables, options, split)
            first = root.child(next(path for path in own if path in tables))
            splits[split] = TableSource(
                first, joined, roles, image_root(first, options), options.allow_outside
            )
        if roles.item_id is None:
            damaged |= _with_lost_counts(own, damaged)
    # A table without images and captions is about something else.
    faults = listing.faults | damaged | {path: fault for path, fault in others.items() if fault}
    skipped = listing.skipped({*tables, *faults})
    return PartsSource(root, splits, roles, faults, skipped)


def _open_tables(
    root: Place, paths: list[str], options: SourceOptions
) -> tuple[dict[str, Table], dict[str, str]]:
    """Return the tables by their paths, and why others cannot be read."""
    tables: dict[str, Table] = {}
    damaged: dict[str, str] = {}
    for path in paths:
        try:
            tables[path] = open_table(root.child(path), options)
        except SourceError as error:
            damaged[path] = str(error)
    if not tables:
        fault = next(iter(damaged.values()), f"{root.uri} lists no file of its dataset")
        raise SourceError(fault)
    return tables, damaged


def _other_tables(
    root: Place, tables: Mapping[str, Table], options: SourceOptions
) -> dict[str, str]:
    """Return the tables that are no parts of the dataset, and why: "" where nothing is lost.

    Raises:
        SourceError: When no table is a part.
    """
    others: dict[str, str] = {}
    for path, columns in ((path, table.columns) for path, table in tables.items()):
        if set(columns) >= OF_EMBEDDINGS:
            folder = root.child(path).parent
            others[path] = f"{folder.uri} was encoded already: read it as `embeddings`"
        elif has_images(columns, options):
            continue
        elif has_captions(columns, options):
            others[path] = (
                "the table has captions and no column of images, and is not read: its columns are "
                f"{', '.join(columns)}"
            )
        else:
            others[path] = ""
    if len(others) == len(tables):
        path, reason = next(iter(others.items()))
        if not set(tables[path].columns) >= OF_EMBEDDINGS:
            find_roles(root.child(path), tables[path].columns, options)  # raises the reason
        raise SourceError(reason)
    return others


def _with_lost_counts(paths: list[str], damaged: Mapping[str, str]) -> dict[str, str]:
    """Return the faults of parts on whose numbers of rows the ids in later parts depend."""
    counted = [path for path in paths if path.lower().endswith(COUNTED_SUFFIX)]
    return {
        path: f"{damaged[path]}; until then, rows of later parts are counted without its rows"
        for path in counted[:-1]
        if path in damaged
    }


def _join(
    root: Place, paths: list[str], tables: Mapping[str, Table], options: SourceOptions, split: str
) -> Table:
    """Return the parts of a split as one table.

    Rows without an id are counted over the parts whose numbers of rows are known, which damage
    does not change: those of Parquet. In any other of several parts, they are counted in it, and
    its path begins their ids.
    """
    parts: list[Table] = []
    roots: dict[str, Place] = {}
    done = 0
    for path in (path for path in paths if path in tables):
        place, table = root.child(path), tables[path]
        folder = place.parent.path
        if folder not in roots:
            roots[folder] = image_root(place, options)
        part = Part(place, path, roots[folder]) if len(tables) > 1 else None
        if len(paths) == 1:
            parts.append(as_part(table, part))
        elif table.size is None:
            prefix = path.removeprefix(f"{split}/")
            parts.append(as_part(table, part, partial(_id_in_part, prefix)))
        else:
            parts.append(as_part(table, part, partial(_id_in_split, done)))
            done += table.size
    notes = Counter[str]()

    def read(names: frozenset[str], *, skim: bool = False) -> Iterator[Row]:
        notes.clear()
        for table in parts:
            try:
                yield from (table.skim if skim and table.skim else table.read)(names)
            finally:
                notes.update(table.notes)

    # Rows that have content are not read twice to compare their paths.
    is_lean = all(table.skim is not None or not table.content for table in parts)
    return Table(
        tuple(dict.fromkeys(name for table in parts for name in table.columns)),
        _sum([table.size for table in parts]),
        read,
        frozenset().union(*(table.content for table in parts)),
        notes,
        partial(read, skim=True) if is_lean else None,
    )


def _id_in_part(path: str, number: int) -> str:
    return f"{path}/row-{number}"


def _id_in_split(done: int, number: int) -> str:
    return f"row-{done + number}"


def _sum(sizes: list[int | None]) -> int | None:
    """Return the sum of sizes; None where one is unknown."""
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
