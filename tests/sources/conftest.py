"""Read the items of a source, and check what holds for every source."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fsspec
import pytest

from mm_milvus.schema import ITEMS
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions


@dataclass(frozen=True)
class Items:
    """The rows of all batches of a source, in order."""

    rows: list[dict[str, Any]]

    @property
    def ids(self) -> list[str]:
        return [row["item_id"] for row in self.rows if row["rejected"] is None]

    @property
    def rejects(self) -> dict[str, str]:
        return {row["item_id"]: row["rejected"] for row in self.rows if row["rejected"]}

    @property
    def captions(self) -> dict[str, list[str]]:
        return {row["item_id"]: row["captions"] for row in self.rows if row["rejected"] is None}

    def __getitem__(self, item_id: str) -> dict[str, Any]:
        (row,) = (row for row in self.rows if row["item_id"] == item_id and not row["rejected"])
        return {**row, "metadata": json.loads(row["metadata"])}


def read_items(path: object, **options: Any) -> Items:
    """Read a source, and check its rows against the schema `ITEMS`."""
    rows = []
    for batch in open_source(path, SourceOptions(**options)).batches():  # type: ignore[arg-type]
        assert batch.schema == ITEMS
        batch.validate(full=True)
        rows += batch.to_pylist()
    for row in rows:
        assert row["item_id"]
        assert row["rejected"] is None or row["image"] is None
        # An item without an image has no place of one, and at least a caption.
        if row["image"] is None and row["rejected"] is None:
            assert row["captions"]
            assert row["uri"] == ""
        assert "\n" not in (row["rejected"] or "")
        assert isinstance(json.loads(row["metadata"]), dict)
    return Items(rows)


@pytest.fixture
def memory() -> Iterator[Any]:
    """The filesystem of memory://, empty."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    yield fs
    fs.store.clear()
