"""A small stored dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mm_milvus import ingest
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import Dataset, open_dataset
from plain_encoder import PlainEncoder


@pytest.fixture
def folder(folder) -> Path:
    """The pictures, and one that cannot be decoded."""
    (folder / "broken.png").write_bytes(b"<html>")
    return folder


@pytest.fixture
def stored(uri, dataset, folder) -> Callable[[], Dataset]:
    """Ingest the folder; return a function that opens the stored dataset."""
    ingest(folder, store=uri, dataset=dataset, model=PlainEncoder())
    with Store(uri) as store:
        yield lambda: open_dataset(store, dataset)
