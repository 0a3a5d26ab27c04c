"""The expression that the rows of both collections must meet, from all filters of a search."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypedDict

from mm_milvus.choices import MAX_LIMIT
from mm_milvus.errors import QueryError, StoreError
from mm_milvus.filters.columns import FilterColumns
from mm_milvus.filters.condition import Condition, Filter, excerpt, leaves
from mm_milvus.filters.expression import literal, render
from mm_milvus.filters.parse import parse_condition
from mm_milvus.filters.raw import check_enclosed
from mm_milvus.filters.stored import StoredKeys
from mm_milvus.schema import Field
from mm_milvus.search.columns import common_columns
from mm_milvus.store.collection import SCAN_ROWS, Collection
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.read import has_rows, sample_metadata

SAMPLED_ROWS = 256
"""Items whose metadata are read to know the keys: 16 MB where each has the most that is stored."""

MAX_SCANNED_CAPTIONS = 200_000
"""Captions that are read where the engine cannot search in texts: about two seconds."""


class Conditions(TypedDict, total=False):
    """Which items are meant; all of them must hold.

    Attributes:
        where: As in `SearchOptions`.
        filter: As in `SearchOptions`.
        caption_has: As in `SearchOptions`.
    """

    where: Sequence[Filter | str]
    filter: str
    caption_has: str


class Where:
    """Turns the filters of a search into an expression. Safe to share between threads.

    The keys of a dataset are read from a sample of its items at the first condition, and kept.
    A condition that the sample cannot meet is checked again before it is refused: with a new
    sample, and, where that is not the whole dataset, by a lookup in all items. So a key that only
    few or new items have is never refused, and a key that is refused costs what a search for it
    would.
    """

    def __init__(self, dataset: Dataset, *others: Dataset) -> None:
        """Take a dataset, as one or several encoders indexed it; nothing is read yet."""
        self._dataset = dataset
        self._indexes = (dataset, *others)
        self._stored: StoredKeys | None = None
        self._searches_texts = True

    def expression(
        self, where: Sequence[Filter | str], raw: str = "", caption_has: str = ""
    ) -> str:
        """Return what rows must meet; "" for all rows.

        Args:
            where: As in `SearchOptions`.
            raw: As `filter` of `SearchOptions`.
            caption_has: As in `SearchOptions`.

        Raises:
            QueryError: When a filter cannot be parsed, no item has a key, no value of a key can
                meet its condition, or too many items have a caption with a text.
        """
        check_enclosed(raw)
        conditions = [
            parse_condition(condition) if isinstance(condition, str) else condition
            for condition in where
        ]
        typed = ""
        if conditions:
            # Another process may have stored values that do not fit the columns, or rebuilt them.
            columns = common_columns([index.images.manifest() for index in self._indexes])
            typed = render(conditions, columns)
            self._check(conditions, columns)
        parts = [part for part in (typed, raw.strip()) if part]
        if caption_has:
            items = self._captioned_items(caption_has, parts)
            listed = ", ".join(map(literal, items))
            parts.append(f"{Field.ITEM_ID} in [{listed}]" if items else f'{Field.ITEM_ID} == ""')
        return _all(parts)

    def meets(self, conditions: Conditions) -> str:
        """Return what the rows of the items that are meant must meet, as `expression` does."""
        return self.expression(
            conditions.get("where", ()),
            conditions.get("filter", ""),
            conditions.get("caption_has", ""),
        )

    def check_keys(self, keys: Sequence[str]) -> None:
        """Raise QueryError for a metadata key that no item has."""
        columns = common_columns([index.manifest for index in self._indexes])
        asked = [Condition(key, "has", "") for key in keys if key not in columns.types]
        for leaf, fault in self._faults(asked):
            raise QueryError(f"column {excerpt(leaf.field)}: {fault}")

    def _check(self, conditions: Sequence[Filter], columns: FilterColumns) -> None:
        """Raise QueryError for a condition that no item can meet for its key or its type."""
        checked = [
            leaf
            for condition in conditions
            for leaf in leaves(condition)
            if leaf.field not in columns.types
        ]
        for leaf, fault in self._faults(checked):
            raise QueryError(f"filter {excerpt(str(leaf))}: {fault}")

    def _faults(self, checked: Sequence[Condition]) -> Iterator[tuple[Condition, str]]:
        """Yield the conditions that no item can meet, and why."""
        stored, is_current = self._stored, False
        if checked and stored is None:
            stored, is_current = self._read(), True
        unmet = [leaf for leaf in checked if stored and stored.fault(leaf)]
        if unmet and not is_current:
            stored = self._read()
        for leaf in unmet:
            if stored and (fault := stored.fault(leaf)) and not self._is_stored(stored, leaf):
                yield leaf, fault

    def _read(self) -> StoredKeys:
        samples = [sample_metadata(part, SAMPLED_ROWS) for part in self._dataset.collections]
        is_whole = all(len(sample) < SAMPLED_ROWS for sample in samples)
        self._stored = StoredKeys((row for sample in samples for row in sample), is_whole=is_whole)
        return self._stored

    def _is_stored(self, stored: StoredKeys, leaf: Condition) -> bool:
        """Look in all items for a value that the condition of a fault could meet."""
        if stored.is_whole:
            return stored.is_empty
        probe = stored.probe(leaf)
        return any(has_rows(part, probe) for part in self._dataset.collections)

    def _captioned_items(self, text: str, parts: Sequence[str]) -> list[str]:
        """Return the items with a caption that contains a text, sorted.

        Args:
            text: The text; case matters.
            parts: Expressions that the rows must meet as well.

        Raises:
            QueryError: For more than `MAX_LIMIT` items.
        """
        texts = self._dataset.texts
        # The wildcard of one character stands for those that the engines escape differently.
        wildcards = re.sub(r"[%_\\]", "_", text)
        pattern = literal(f"%{wildcards}%")
        if self._searches_texts:
            try:
                like = f"{Field.CAPTION} like {pattern}"
                return _matching_items(texts, text, _all([*parts, like]))
            except StoreError as error:
                if "pattern" not in str(error):
                    raise
                # A server before 2.4 knows the beginning of a text only.
                self._searches_texts = False
        if texts.count() > MAX_SCANNED_CAPTIONS:
            raise QueryError(
                f"this Milvus cannot search in more than {MAX_SCANNED_CAPTIONS:,} captions "
                "(`caption_has`); use version 2.4 or later"
            )
        return _matching_items(texts, text, _all(parts))


def _matching_items(texts: Collection, text: str, expression: str) -> list[str]:
    items: set[str] = set()
    for batch in texts.scan_rows([Field.ITEM_ID, Field.CAPTION], SCAN_ROWS, expression):
        items |= {row[Field.ITEM_ID] for row in batch if text in row[Field.CAPTION]}
        if len(items) > MAX_LIMIT:
            raise QueryError(
                f"more than {MAX_LIMIT:,} items have a caption with {excerpt(text)}; give a longer "
                "text (`caption_has`), or add conditions (`where`)"
            )
    return sorted(items)


def _all(parts: Sequence[str]) -> str:
    return " and ".join(f"({part})" for part in parts)
