"""A dataset of items with random vectors, on each engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from encoded_items import write_encoded
from mm_milvus import SearchClient, ingest, open_embeddings


@pytest.fixture
def store_items(uri, dataset, tmp_path):
    """Store items; keywords are those of `write_encoded`, and `IngestOptions`."""

    def store_items(items, *, name=dataset, options=None, encoder="test"):
        path = write_encoded(tmp_path / "encoded.parquet", items, encoder=encoder)
        return ingest(open_embeddings(path), store=uri, dataset=name, options=options)

    return store_items


@pytest.fixture
def client(uri, dataset, store_items):
    """Return a function that stores items and opens a client of their dataset."""
    opened = []

    def client(items):
        store_items(items)
        opened.append(SearchClient(uri, dataset))
        return opened[-1]

    yield client
    for each in opened:
        each.close()


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "items.parquet"
