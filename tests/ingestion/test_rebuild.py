"""A rebuild: searches see the whole dataset before, the whole dataset after, nothing between."""

from __future__ import annotations

import json
import shutil
import threading

import pytest

from mm_milvus import IngestOptions, OptionError, SearchClient, StoreError, ingest
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import drop_dataset, open_dataset, rebuild_dataset
from mm_milvus.store.read import stored_rows
from mm_milvus.store.rebuild import switch
from pictures import PICTURES, caption

pytestmark = pytest.mark.engines("lite")
"""All of them pass on a server as well, where each takes 20 seconds to create its collections."""

REBUILD = IngestOptions(rebuild=True)


def collections(uri: str, dataset: str) -> list[str]:
    with Store(uri) as store:
        names = store.client.list_collections()
    return sorted(name.removeprefix(dataset) for name in names if name.startswith(dataset))


@pytest.mark.engines("lite", "server")
def test_searches_see_one_whole_dataset_or_the_other(folder, uri, dataset):
    ingest(folder, store=uri, dataset=dataset)
    with SearchClient(uri, dataset) as client:
        before = {hit.item_id for hit in client.search("anything", top_k=20)}
        seen: set[frozenset[str]] = set()
        failures: list[BaseException] = []
        done = threading.Event()

        def search() -> None:
            while not done.is_set():
                try:
                    hits = client.search("anything", top_k=20)
                    seen.add(frozenset(hit.item_id for hit in hits))
                except BaseException as error:
                    failures.append(error)
                    return

        (folder / f"{PICTURES[0]}.png").unlink()
        shutil.copy(folder / f"{PICTURES[1]}.png", folder / "new.png")
        searchers = [threading.Thread(target=search) for _ in range(2)]
        for searcher in searchers:
            searcher.start()
        for _ in range(2):
            ingest(folder, store=uri, dataset=dataset, options=REBUILD)
        done.set()
        for searcher in searchers:
            searcher.join()
        after = {hit.item_id for hit in client.search("anything", top_k=20)}
    assert failures == []
    assert after == before - {f"{PICTURES[0]}.png"} | {"new.png"}
    # Between the two switches images and captions may be of different generations.
    assert {frozenset(before), frozenset(after)} >= seen - {frozenset(before | after)}
    assert collections(uri, dataset) == ["_images__g2", "_texts__g2"]


def test_what_was_chosen_at_the_first_ingest_can_be_changed(folder, uri, dataset):
    caption(folder, "dog", "dog", price=3.5)
    ingest(folder, store=uri, dataset=dataset)
    promoted = {"price": "varchar", "size": "int64"}
    with pytest.raises(StoreError, match="`rebuild`"):
        ingest(folder, store=uri, dataset=dataset, options=IngestOptions(promote=promoted))
    options = IngestOptions(promote=promoted, index_type="HNSW", rebuild=True)
    assert ingest(folder, store=uri, dataset=dataset, options=options).images == len(PICTURES)
    with Store(uri) as store:
        manifest = open_dataset(store, dataset).manifest
    assert (manifest.columns, manifest.index_type) == (promoted, "HNSW")
    with SearchClient(uri, dataset) as client:
        assert [hit.item_id for hit in client.search("a", where=["price=3.5"])] == ["dog.png"]
    # The choice is kept by later ingests and rebuilds.
    assert ingest(folder, store=uri, dataset=dataset).skipped == len(PICTURES)
    ingest(folder, store=uri, dataset=dataset, options=REBUILD)
    with Store(uri) as store:
        assert open_dataset(store, dataset).manifest.columns == promoted
        drop_dataset(dataset, store)
    assert collections(uri, dataset) == []


def test_a_rebuild_that_was_killed_is_resumed(folder, uri, dataset):
    ingest(folder, store=uri, dataset=dataset)
    with Store(uri) as store:
        live = open_dataset(store, dataset)
        half = rebuild_dataset(live, live.manifest, 6)
        for collection, current in zip(half.collections, live.collections, strict=True):
            keys = [key for batch in current.scan() for key, item in batch if item == "dog.png"]
            collection.upsert(stored_rows(current, keys), {})
    report = ingest(folder, store=uri, dataset=dataset, options=REBUILD)
    assert (report.images, report.skipped) == (len(PICTURES) - 1, 1)
    assert collections(uri, dataset) == ["_images__g1", "_texts__g1"]


@pytest.mark.parametrize("step", ["one name", "no alias"])
def test_a_switch_that_was_killed_is_completed(folder, uri, dataset, step):
    ingest(folder, store=uri, dataset=dataset)
    with Store(uri) as store:
        live = open_dataset(store, dataset)
        rebuilt = rebuild_dataset(live, live.manifest, 6)
        for collection, current in zip(rebuilt.collections, live.collections, strict=True):
            keys = [key for batch in current.scan() for key, _ in batch]
            collection.upsert(stored_rows(current, keys), {})
        rebuilt.finish()
        if step == "one name":
            switch(live.texts, rebuilt.texts)
        else:
            store.client.rename_collection(live.images.name, f"{live.images.name}__g0")
    with SearchClient(uri, dataset) as client:
        assert len(client.search("anything", top_k=20)) == len(PICTURES)
    ingest(folder, store=uri, dataset=dataset, options=REBUILD)
    with SearchClient(uri, dataset) as client:
        assert len(client.search("anything", top_k=20)) == len(PICTURES)
    assert collections(uri, dataset) == ["_images__g2", "_texts__g2"]


def test_a_rebuild_of_nothing_replaces_nothing(folder, uri, dataset):
    ingest(folder, store=uri, dataset=dataset)
    for picture in folder.glob("*.png"):
        picture.write_bytes(b"no picture")
    with pytest.raises(StoreError, match="stays unchanged"):
        ingest(folder, store=uri, dataset=dataset, options=REBUILD)
    with SearchClient(uri, dataset) as client:
        assert len(client.search("anything", top_k=20)) == len(PICTURES)


def test_a_dataset_of_another_schema_version_is_rebuilt(folder, uri, dataset):
    ingest(folder, store=uri, dataset=dataset)
    with Store(uri) as store:
        for collection in open_dataset(store, dataset).collections:
            later = {**collection.manifest().to_dict(), "schema_version": 99, "index_type": "NEW"}
            properties = {"mm_milvus": json.dumps(later)}
            collection.client.alter_collection_properties(collection.name, properties=properties)
    with pytest.raises(StoreError, match="schema version 99"):
        ingest(folder, store=uri, dataset=dataset)
    ingest(folder, store=uri, dataset=dataset, options=REBUILD)
    with SearchClient(uri, dataset) as client:
        assert len(client.search("anything", top_k=20)) == len(PICTURES)


def test_a_rebuild_makes_no_dataset_smaller_by_rejects_unless_that_is_accepted(
    folder, uri, dataset
):
    ingest(folder, store=uri, dataset=dataset)
    (folder / "dog.png").write_bytes(b"no picture")
    with pytest.raises(StoreError, match=r"from 6 to 5 images.*`allow_rejects`"):
        ingest(folder, store=uri, dataset=dataset, options=REBUILD)
    with SearchClient(uri, dataset) as client:
        assert len(client.search("anything", top_k=20)) == len(PICTURES)
    accepted = IngestOptions(rebuild=True, allow_rejects=True)
    assert ingest(folder, store=uri, dataset=dataset, options=accepted).rejected == 1
    with SearchClient(uri, dataset) as client:
        assert len(client.search("anything", top_k=20)) == len(PICTURES) - 1


def test_a_rebuild_without_rejects_may_be_smaller(folder, uri, dataset):
    ingest(folder, store=uri, dataset=dataset)
    (folder / "dog.png").unlink()
    (folder / "dog.json").unlink()
    ingest(folder, store=uri, dataset=dataset, options=REBUILD)
    with SearchClient(uri, dataset) as client:
        assert len(client.search("anything", top_k=20)) == len(PICTURES) - 1


def test_a_rebuild_of_a_part_is_refused():
    with pytest.raises(OptionError, match="the whole dataset"):
        IngestOptions(rebuild=True, limit=3)
