"""Deleted items are gone from every collection, and everything that counts them knows it."""

from __future__ import annotations

import pytest

from encoded_items import EncodedItem, numbered
from mm_milvus import IngestOptions, SearchClient, dataset_info, describe_dataset, list_datasets
from mm_milvus.errors import QueryError
from mm_milvus.items import delete
from mm_milvus.store.collection import Collection
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import open_dataset


def rows(uri, dataset) -> dict[str, int]:
    """Return the row counts in the manifest, after they were compared with those of the engine."""
    [stored] = [manifest for manifest in list_datasets(uri) if manifest.dataset == dataset]
    assert stored.rows == describe_dataset(dataset, uri).rows
    return stored.rows


def remaining(client) -> set[str]:
    return {*client.items(columns=["item_id"]).to_table().column("item_id").to_pylist()}


def test_items_are_deleted_by_their_ids(client, uri, dataset):
    opened = client(numbered(20))
    before = rows(uri, dataset)
    assert opened.delete(["item 7", "nobody", "item 0", "item 7"]) == 2
    assert remaining(opened) == {f"item {n}" for n in range(20)} - {"item 0", "item 7"}
    assert opened.get(["item 7", "item 0"]) == [None, None]
    after = rows(uri, dataset)
    assert (before["image"] - after["image"], before["text"] - after["text"]) == (1, 4)
    assert opened.delete("item 7") == 0
    assert opened.delete([]) == 0


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"where": ["price>=10"]}, {*range(10, 30)}),
        ({"where": ["color=red"]}, {*range(0, 30, 2)}),
        ({"caption_has": "caption 7."}, {7}),
        ({"filter": 'uri == ""'}, {*range(0, 30, 3)}),
    ],
)
def test_items_are_deleted_by_conditions(client, uri, dataset, conditions, expected):
    opened = client(numbered(30))
    assert opened.delete(**conditions) == len(expected)
    assert remaining(opened) == {f"item {n}" for n in {*range(30)} - expected}
    assert opened.count() == 30 - len(expected)
    rows(uri, dataset)


def test_deleting_without_naming_anything_is_refused(client):
    opened = client(numbered(4))
    for conditions in ({}, {"where": []}, {"filter": ""}):
        with pytest.raises(QueryError, match="to delete items, name them"):
            opened.delete(**conditions)
    with pytest.raises(QueryError, match="one or the other"):
        opened.delete(["item 1"], where=["price=1"])
    assert opened.count() == 4


def test_the_next_ingest_brings_deleted_items_back(client, store_items):
    items = numbered(20)
    opened = client(items)
    whole = opened.items().to_table()
    opened.delete(where=["price<5"])
    report = store_items(items)
    assert (report.skipped, report.images, report.captions) == (15, 3, 7)
    assert opened.items().to_table() == whole


def test_items_are_deleted_for_every_encoder(store_items, uri, dataset):
    items = numbered(12)
    store_items(items)
    store_items(items[4:], encoder="other", options=IngestOptions(add_encoder=True))
    store_items([EncodedItem("only there", ["x"], {"price": 5})], encoder="other")
    with SearchClient(uri, dataset) as client:
        assert client.delete(where=["price=5"]) == 2
        assert client.delete(["item 6", "item 1"]) == 2
    for encoder, expected in (("test", 9), ("other", 6)):
        with SearchClient(uri, dataset, encoders=[encoder]) as client:
            assert client.count() == expected, encoder
    for index in dataset_info(dataset, uri):
        stored = {name: info.rows for name, info in index.collections.items()}
        assert index.manifest.rows == stored


def test_the_counts_are_right_after_an_interruption(client, uri, dataset, monkeypatch):
    monkeypatch.setattr(delete, "CHUNK_ITEMS", 5)
    opened = client(numbered(30))
    whole = rows(uri, dataset)
    remove = Collection.delete
    calls = []

    def fail_late(self, ids):
        calls.append(ids)
        if len(calls) == 8:
            raise KeyboardInterrupt
        remove(self, ids)

    monkeypatch.setattr(Collection, "delete", fail_late)
    with pytest.raises(KeyboardInterrupt):
        opened.delete(where=["price<20"])
    partly = rows(uri, dataset)
    assert 0 < whole["image"] - partly["image"] < 13
    opened.delete(where=["price<20"])
    assert remaining(opened) == {f"item {n}" for n in range(20, 30)}
    rows(uri, dataset)


def test_an_ingest_that_did_not_finish_is_not_hidden(client, uri, dataset):
    opened = client(numbered(10))
    with Store(uri) as store:
        index = open_dataset(store, dataset)
        stored = index.manifest.rows
        index.images.delete([next(iter(index.images.scan()))[0][0]])
        assert index.counts() != stored
    opened.delete("item 4")
    [manifest] = [manifest for manifest in list_datasets(uri) if manifest.dataset == dataset]
    assert manifest.rows == stored


def test_an_index_that_no_longer_fits_is_built_again(client, uri, dataset):
    opened = client([EncodedItem(f"{n}", [], {"n": n}) for n in range(2000)])
    with Store(uri) as store:
        assert open_dataset(store, dataset).images.built_with() == {"nlist": 51}
    assert opened.delete(where=["n>=500"]) == 1500
    with Store(uri) as store:
        assert open_dataset(store, dataset).images.built_with() == {"nlist": 12}
    assert rows(uri, dataset) == {"image": 500, "text": 0}
