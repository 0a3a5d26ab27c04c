"""Folders whose items are inside their files: parts of a table, tar shards, Hugging Face datasets.

A dataset has one or more splits, and a split has one or more parts: tables with the same columns,
whose rows are counted through. The name of a split is metadata (`split`), and begins the ids of its
items, as numbers of rows and file names of images occur in each split.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from mm_milvus.errors import SourceError
from mm_milvus.files import Place, read_failure
from mm_milvus.sources.base import Draft, rejected_draft, to_batches
from mm_milvus.sources.options import SourceOptions
from mm_milvus.sources.records import Row, Table, without_compression
from mm_milvus.sources.roles import ColumnRoles, by_numbers, find_roles
from mm_milvus.sources.suffixes import SHARD_SUFFIXES
from mm_milvus.sources.table import TableSource, image_root, open_table
from mm_milvus.sources.walk import walk
from mm_milvus.sources.webdataset import WebDatasetSource

SPLITS = frozenset({"train", "training", "test", "testing", "validation", "valid", "val", "dev"})
"""Names of folders and files that are splits."""

NO_SPLITS = frozenset({"data", "part", "chunk", "shard"})
"""What names of parts begin with where they are not of a split."""

_NUMBERED = re.compile(r"(.+?)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?")
"""Hugging Face's names of parts, such as `train-00000-of-00005`."""

PART_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".ipc")
"""Tables; a file of text or JSON in a folder is about something else."""

DATASET, DATASETS, STATE = "dataset_info.json", "dataset_dict.json", "state.json"
"""What Hugging Face's `save_to_disk` writes next to a dataset, to several, and to a dataset."""

OF_EMBEDDINGS = frozenset({"content_hash", "image_embedding", "caption_embeddings"})


@dataclass(frozen=True, slots=True)
class PartsSource:
    """The items of the splits of a dataset.

    Attributes:
        name: The folder's name.
        splits: The table of each split, by its name; "" where the dataset has no splits.
        faults: Why parts, or folders of parts, cannot be read, by their place.
    """

    name: str
    splits: Mapping[str, TableSource]
    faults: Mapping[Place, str]

    @property
    def roles(self) -> ColumnRoles:
        """Which column is what, in the first split."""
        return next(iter(self.splits.values())).roles

    @property
    def size(self) -> int | None:
        """The number of rows; None where a part does not have it."""
        sizes = [table.size for table in self.splits.values()]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    @property
    def notes(self) -> Mapping[str, int]:
        """What users should know of the items that were read last, with its numbers."""
        return sum((Counter(table.notes) for table in self.splits.values()), Counter[str]())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the items of all splits, in the order of their parts."""
        fetch = next(iter(self.splits.values())).place.fetch
        return to_batches(self._drafts(), fetch.concurrency)

    def _drafts(self) -> Iterator[Draft]:
        for split, table in self.splits.items():
            for draft in table.drafts():
                if split:
                    draft.item_id = f"{split}/{draft.item_id}"
                    draft.metadata = {"split": split} | draft.metadata
                yield draft
        for place, fault in self.faults.items():
            yield rejected_draft(place.name, place.uri, fault)


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
        parts = {str(split): _saved_parts(root.child(str(split))) for split in splits}
    else:
        parts = {"": _saved_parts(root)}
    return _open_splits(root, parts, options, {})


def _saved_parts(folder: Place) -> list[Place]:
    state = _read_json(folder.child(STATE))
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise SourceError(
            f"{folder.uri} has its rows in the order of an index, which is not read: save it "
            "again after flatten_indices()"
        )
    names = [str(file["filename"]) for file in state.get("_data_files") or []]
    return [folder.child(posixpath.basename(name)) for name in names]


def _read_json(place: Place) -> dict[str, Any]:
    try:
        content = json.loads(place.read())
    except Exception as error:  # each filesystem has errors of its own
        raise SourceError(
            f"{place.uri} cannot be read: {read_failure(error)}; save the dataset again"
        ) from error
    return content if isinstance(content, dict) else {}


def open_parts(root: Place, options: SourceOptions) -> PartsSource | WebDatasetSource | None:
    """Open a folder without images by the tar shards in it, or else by the parts of its tables.

    Raises:
        SourceError: When the tables cannot be read together.
    """
    found: list[str] = []
    faults: dict[Place, str] = {}
    for folder, names in walk(root):
        if isinstance(names, str):
            faults[root.child(f"{folder}/")] = names
        else:
            found += (posixpath.join(folder, name) for name in names)
    paths = sorted(found, key=by_numbers)
    shards = tuple(root.child(path) for path in paths if path.lower().endswith(SHARD_SUFFIXES))
    if shards:
        return WebDatasetSource(root.name, shards, options.shard_ids, options.encoding, faults)
    parts: dict[str, list[Place]] = {}
    for path in paths:
        # Hugging Face keeps results of computations in files that begin so.
        if without_compression(path).lower().endswith(PART_SUFFIXES) and not posixpath.basename(
            path
        ).startswith("cache-"):
            parts.setdefault(_split_of(path), []).append(root.child(path))
    return _open_splits(root, parts, options, faults) if parts else None


def _split_of(path: str) -> str:
    """Return the split that the path of a part names; "" for none."""
    stem = posixpath.basename(without_compression(path)).split(".")[0]
    numbered = _NUMBERED.fullmatch(stem)
    if numbered and numbered[1].lower() not in NO_SPLITS:
        return numbered[1]
    folder = posixpath.basename(posixpath.dirname(path))
    names = (name for name in (stem, folder) if name.lower() in SPLITS)
    return next(names, "")


def _open_splits(
    root: Place,
    parts: Mapping[str, list[Place]],
    options: SourceOptions,
    unlisted: Mapping[Place, str],
) -> PartsSource:
    splits: dict[str, TableSource] = {}
    faults = dict(unlisted)
    for split, places in parts.items():
        tables: dict[Place, Table] = {}
        for place in places:
            try:
                tables[place] = open_table(place, options)
            except SourceError as error:
                faults[place] = str(error)
        if tables:
            splits[split] = _join(tables, options)
    if not splits:
        first = next(iter(faults.values()), f"{root.uri} lists no file of its dataset")
        raise SourceError(first)
    return PartsSource(root.name, splits, faults)


def _join(tables: Mapping[Place, Table], options: SourceOptions) -> TableSource:
    """Return the parts of a split as one table."""
    first, *others = tables
    columns = tables[first].columns
    if set(columns) >= OF_EMBEDDINGS:
        raise SourceError(f"{first.parent.uri} was encoded already: read it as `embeddings`")
    for place in others:
        if set(tables[place].columns) != set(columns):
            raise SourceError(
                f"{first.uri} has the columns {', '.join(columns)}, and {place.name} has "
                f"{', '.join(tables[place].columns)}: give one of them, or a folder of tables "
                "with the same columns"
            )
    sizes = [table.size for table in tables.values()]
    known = [size for size in sizes if size is not None]

    def read(keep: frozenset[str]) -> Iterator[Row]:
        number = 0
        for table in tables.values():
            done = number
            for row in table.read(keep):
                number = done + row.number
                yield replace(row, number=number)
            # The rows that a damaged part has lost are counted: ids of later parts depend on it.
            number = max(number, done + (table.size or 0))

    joined = Table(
        columns,
        sum(known) if len(known) == len(sizes) else None,
        read,
        frozenset().union(*(table.content for table in tables.values())),
    )
    return TableSource(
        first,
        joined,
        find_roles(first, columns, options),
        image_root(first, options),
        options.allow_outside,
    )
