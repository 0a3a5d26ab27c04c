"""Renamed and copied datasets are whole, whatever interrupts the call."""

from __future__ import annotations

import pytest

from encoded_items import DIM, EncodedItem, numbered, vector, write_encoded
from mm_milvus import (
    IngestOptions,
    SearchClient,
    copy_dataset,
    dataset_info,
    drop_dataset,
    ingest,
    list_datasets,
    open_embeddings,
    rename_dataset,
)
from mm_milvus.errors import QueryError, StoreError
from mm_milvus.items.columns import ENCODED_COLUMNS
from mm_milvus.store import copy
from mm_milvus.store.collection import Collection
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import open_dataset

NESTED = {"price": "n/a", "tags": ["x"], "in": {"side": 1.0}}


@pytest.fixture
def store(uri):
    with Store(uri) as store:
        yield store


@pytest.fixture
def stored(store, dataset, tmp_path):
    """Store items as two encoders index them, the first after a rebuild."""
    items = [*numbered(30), EncodedItem("odd", ["a", "b"], NESTED)]
    for encoder, options in (
        ("test", IngestOptions()),
        ("other", IngestOptions(add_encoder=True)),
        ("test", IngestOptions(rebuild=True)),
    ):
        path = write_encoded(tmp_path / "encoded.parquet", items, encoder=encoder)
        ingest(open_embeddings(path), store=store, dataset=dataset, options=options)
    return dataset


def content(store, dataset):
    """Return all items with their vectors, by encoder."""
    tables = {}
    for encoder in ("test", "other"):
        with SearchClient(store, dataset, encoders=[encoder]) as client:
            tables[encoder] = client.items(columns=ENCODED_COLUMNS).to_table()
    return tables


def names(store) -> list[str]:
    return sorted({manifest.dataset for manifest in list_datasets(store)})


def collections(store, *datasets) -> list[str]:
    existing = store.client.list_collections()
    return sorted(name for name in existing if name.startswith(datasets))


def check_manifests(store, dataset) -> None:
    for index in dataset_info(dataset, store):
        counted = {name: info.rows for name, info in index.collections.items()}
        assert index.manifest.rows == counted == {"image": 21, "text": 48}
        [manifest] = [
            manifest
            for manifest in list_datasets(store)
            if (manifest.dataset, manifest.encoder) == (dataset, index.manifest.encoder)
        ]
        assert manifest == index.manifest


def test_a_renamed_dataset_is_the_same_under_its_new_name(store, stored):
    before = content(store, stored)
    new = f"{stored}_new"
    rename_dataset(stored, new, store)
    assert stored not in names(store)
    assert content(store, new) == before
    check_manifests(store, new)
    assert len(collections(store, stored)) == 4
    with pytest.raises(QueryError, match="no dataset"):
        rename_dataset(stored, new, store)
    rename_dataset(new, stored, store)
    assert content(store, stored) == before


def test_a_copy_has_the_same_rows_and_hashes(store, stored):
    new = f"{stored}_new"
    copy_dataset(stored, new, store)
    assert content(store, new) == content(store, stored)
    check_manifests(store, new)
    check_manifests(store, stored)
    with SearchClient(store, new) as client:
        assert client.count(where=["price>=20"]) == 10
        assert client.count(where=["price='n/a'"]) == 1
    for name in (stored, new):
        images = open_dataset(store, name).images
        ids = [key for batch in images.scan() for key, _ in batch]
        assert len(images.hashes(ids)) == 21
    assert sorted(images.hashes(ids)) == sorted(open_dataset(store, stored).images.hashes(ids))


def test_a_dataset_moves_to_a_file_and_back(store, stored, tmp_path):
    before = content(store, stored)
    with Store(tmp_path / "other.db") as other:
        copy_dataset(stored, stored, store, to=other)
        assert content(other, stored) == before
        [first, _] = [index.manifest for index in dataset_info(stored, other)]
        assert first.nullable
        assert first.columns["price"] == "int64"
        assert first.unfit == {"price": ["text"]}
        drop_dataset(stored, store)
        copy_dataset(stored, stored, other, to=store)
    assert content(store, stored) == before


@pytest.mark.parametrize("verb", [rename_dataset, copy_dataset])
def test_an_existing_name_is_refused(store, stored, verb):
    with pytest.raises(QueryError, match="already; drop it first"):
        verb(stored, stored, store)
    with pytest.raises(QueryError, match="no dataset 'nobody'"):
        verb("nobody", f"{stored}_new", store)
    taken = f"{stored}_taken"
    store.client.create_collection(f"{taken}_images", dimension=DIM)
    with pytest.raises(StoreError, match="was not made by mm-milvus"):
        verb(stored, taken, store)
    store.client.drop_collection(f"{taken}_images")
    check_manifests(store, stored)


class Killed(BaseException):
    """Ends a call as a kill does: nothing handles it."""


class Stops:
    """Counts the changes that a store makes, and stops before the one of a number."""

    def __init__(self, monkeypatch, store) -> None:
        self.at: int | None = None
        self.count = 0
        for name in ("rename_collection", "drop_alias", "alter_collection_properties"):
            monkeypatch.setattr(store.client, name, self._counting(getattr(store.client, name)))
        monkeypatch.setattr(Collection, "upsert", self._counting(Collection.upsert))
        monkeypatch.setattr(Collection, "create", self._counting(Collection.create))

    def _counting(self, call):
        def counted(*arguments, **keywords):
            if self.count == self.at:
                raise Killed
            self.count += 1
            return call(*arguments, **keywords)

        return counted


def alias_of_rebuild(store, name) -> None:
    """Make a name an alias, as a rebuild does."""
    store.client.rename_collection(name, f"{name}__g1")
    store.client.create_alias(f"{name}__g1", name)


@pytest.mark.engines("lite")  # a server takes a minute per kill
def test_a_rename_that_is_killed_anywhere_is_completed_by_the_same_call(store, stored, monkeypatch):
    before = content(store, stored)
    stops = Stops(monkeypatch, store)
    previous, new = stored, f"{stored}_new"
    rename_dataset(previous, new, store)
    changes = stops.count
    assert changes == 10  # four collections, two aliases of a rebuild, four manifests
    previous, new = new, previous
    for at in range(changes):
        for name in ("images", "texts"):
            alias_of_rebuild(store, f"{previous}_{name}")
        stops.at, stops.count = at, 0
        with pytest.raises(Killed):
            rename_dataset(previous, new, store)
        stops.at = None
        rename_dataset(previous, new, store)
        assert names(store) == [new]
        assert content(store, new) == before
        check_manifests(store, new)
        previous, new = new, previous


@pytest.mark.engines("lite")
def test_a_copy_that_is_killed_anywhere_is_invisible_until_the_same_call_completes_it(
    store, stored, monkeypatch
):
    monkeypatch.setattr(copy, "BATCH_ROWS", 20)
    before = content(store, stored)
    new = f"{stored}_new"
    stops = Stops(monkeypatch, store)
    copy_dataset(stored, new, store)
    changes = stops.count
    assert changes >= 20
    for at in range(changes):
        drop_dataset(new, store)
        stops.at, stops.count = at, 0
        with pytest.raises(Killed):
            copy_dataset(stored, new, store)
        with pytest.raises((QueryError, StoreError)):
            SearchClient(store, new).close()
        stops.at = None
        copy_dataset(stored, new, store)
        assert content(store, new) == before
        check_manifests(store, new)
        assert len(collections(store, new)) == 4
    check_manifests(store, stored)


def test_the_vectors_of_a_copy_are_those_that_were_stored(store, stored):
    new = f"{stored}_new"
    copy_dataset(stored, new, store)
    with SearchClient(store, new) as client:
        [row] = client.items(["odd"], columns=["image_embedding"]).to_table().to_pylist()
    assert row["image_embedding"] == vector("/pictures/odd").tolist()
