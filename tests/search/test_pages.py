"""Pages are parts of one ranking of items, whatever mode, stage, engine and page is asked for."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mm_milvus import AsyncSearchClient, QueryError, SearchClient, Store
from mm_milvus.keys import caption_key, content_hash, image_key
from mm_milvus.search import current, lists
from mm_milvus.search.fusion import FUSION_MODES
from mm_milvus.search.rerank import parse_rerank
from mm_milvus.store.dataset import Dataset, create_dataset, drop_dataset, open_dataset
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.rows import Row
from plain_encoder import DIM, PlainEncoder

pytestmark = pytest.mark.engines("lite", "server")

ON_LITE = pytest.mark.engines("lite")
"""A server replaces its index of small segments some time after they were written, and two equal
searches then differ in deep places."""

ITEMS = 400
WORDS = ["red", "blue", "old", "new", "dress", "shoe", "bicycle", "lamp", "photo", "wooden"]
MANY = "i007"
"""The item with more captions than the first read of a list is long."""


def rows_of(items: range, *, metadata: dict | None = None) -> tuple[list[Row], list[Row]]:
    """Items with 0 to 3 captions, some without an image, some with the image of another one."""
    encoder = PlainEncoder()
    random = np.random.default_rng(items.start)
    images, texts = [], []
    for number in items:
        item_id = f"i{number:03d}"
        details = {"number": number, "even": number % 2 == 0, **(metadata or {})}
        count = 200 if item_id == MANY else int(random.integers(0, 4))
        captions = [f"{' '.join(random.choice(WORDS, 3))} {n}" for n in range(count)]
        picture = number - number % 3 if number % 5 == 0 else number
        pixels = np.random.default_rng(picture).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
        if number % 11 or not captions:
            shared = {"item_id": item_id, "uri": f"/{item_id}.png", "metadata": details}
            images.append(
                Row(
                    id=image_key(item_id),
                    content_hash=content_hash(str(picture)),
                    detail_hash=content_hash(item_id),
                    embedding=encoder.encode_images(pixels)[0],
                    **shared,
                )
            )
        else:
            shared = {"item_id": item_id, "uri": "", "metadata": details}
        if captions:
            texts += [
                Row(
                    id=caption_key(item_id, n),
                    content_hash=content_hash(caption),
                    detail_hash=content_hash(item_id),
                    embedding=vector,
                    caption=caption,
                    **shared,
                )
                for n, (caption, vector) in enumerate(
                    zip(captions, encoder.encode_texts(captions), strict=True)
                )
            ]
    return images, texts


def store_items(store: Store, name: str, items: range, **options: dict) -> Dataset:
    spec = PlainEncoder.spec
    manifest = Manifest(name, spec.id, spec.fingerprint, DIM)
    dataset = create_dataset(store, manifest, len(items))
    for collection, rows in zip(dataset.collections, rows_of(items, **options), strict=True):
        collection.upsert(rows, {})
    return dataset.finish()


@pytest.fixture(scope="module")
def shop(server, tmp_path_factory):
    uri = server or str(tmp_path_factory.mktemp("shop") / "store.db")
    with Store(uri) as store:
        store_items(store, "shop", range(ITEMS))
        yield uri
        if server:
            drop_dataset("shop", store)


@pytest.fixture(scope="module")
def client(shop):
    with SearchClient(shop, "shop", encoder=PlainEncoder()) as client:
        yield client


def only_even(hits, context):
    """A stage that leaves hits out."""
    del context
    return [hit for hit in hits if hit.metadata["even"]]


STAGES = st.sampled_from(
    [
        (),
        (parse_rerank("mmr:0.5"),),
        (parse_rerank("boost:even=true:3"), parse_rerank("mmr")),
        (parse_rerank("exact"),),
        (only_even,),
    ]
)


@ON_LITE
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.sampled_from(["red dress", "old wooden lamp 3", "bicycle"]),
    fusion=st.sampled_from([*FUSION_MODES]),
    rerank=STAGES,
    dedup=st.sampled_from(["item", "content", "near"]),
    weights=st.sampled_from([None, {"image": 0, "text": 1}, {"image": 1, "text": 0.2}]),
    sizes=st.lists(st.sampled_from([1, 7, 10, 33, 60, 120]), min_size=1, max_size=6),
)
def test_pages_together_are_one_long_answer(client, text, fusion, rerank, dedup, weights, sizes):
    options = {"fusion": fusion, "rerank": rerank, "dedup": dedup, "fusion_weights": weights}
    long = client.search(text, top_k=sum(sizes), **options)
    pages = []
    for size in sizes:
        offset = sum(sizes[: len(pages)])
        pages.append(client.search(text, top_k=size, offset=offset, **options))
    assert [hit for page in pages for hit in page] == long
    shown = [item_id for hit in long for item_id in (hit.item_id, *hit.duplicates)]
    assert len(shown) == len(set(shown))


@ON_LITE
@pytest.mark.parametrize("fusion", FUSION_MODES)
def test_cursors_lead_to_every_item_once(client, fusion):
    shown, cursor, pages = [], None, 0
    while True:
        page = client.page("red dress", cursor, top_k=10 + pages, fusion=fusion)
        shown += [hit.item_id for hit in page.hits]
        pages += 1
        if page.cursor is None:
            break
        cursor = page.cursor
    assert sorted(shown) == [f"i{n:03d}" for n in range(ITEMS)]
    assert shown == [hit.item_id for hit in client.search("red dress", top_k=1000, fusion=fusion)]


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        ("", "is no cursor"),
        ("???", "is no cursor"),
        (base64.b64encode(b"[1, 2]").decode(), "is no cursor"),
        (base64.b64encode(b'[1, -5, ""]').decode(), "is no cursor"),
        (base64.b64encode(json.dumps([1, 99999, ""]).encode()).decode(), "is no cursor"),
        (base64.b64encode(json.dumps([2, 10, ""]).encode()).decode(), "version 2"),
    ],
)
def test_a_text_that_is_no_cursor_is_rejected(client, cursor, reason):
    with pytest.raises(QueryError, match=reason):
        client.page("red dress", cursor)


def test_a_cursor_is_that_of_one_query_and_its_options(client):
    cursor = client.page("red dress", where=["even=true"]).cursor
    assert client.page("red dress", cursor, where=["even=true"], top_k=3).hits
    for query, options in (("blue dress", {"where": ["even=true"]}), ("red dress", {})):
        with pytest.raises(QueryError, match="another query or of other options"):
            client.page(query, cursor, **options)


def test_the_asynchronous_client_has_the_same_pages(client, shop):
    async def page():
        async with AsyncSearchClient(shop, "shop", encoder=PlainEncoder()) as asynchronous:
            return await asynchronous.page("old lamp")

    assert asyncio.run(page()) == client.page("old lamp")


@pytest.mark.parametrize("top_k", [1, 5, 10, 30, 100, ITEMS])
def test_an_item_with_many_captions_takes_no_place_of_others(client, top_k):
    """Half of the rows of the first reads are those of one item."""
    many = client.search(" ".join(WORDS[:3]), top_k=top_k, fusion_weights={"image": 0, "text": 1})
    assert len({hit.item_id for hit in many}) == top_k


@ON_LITE
def test_a_list_is_read_on_past_the_longest_answer(client, monkeypatch):
    expected = client.search("lamp", top_k=200, fusion="max")
    monkeypatch.setattr(lists, "MAX_LIMIT", 96)
    searched = client.search("lamp", top_k=200, fusion="max")
    assert [hit.item_id for hit in searched] == [hit.item_id for hit in expected]


def test_a_filter_finds_all_items_where_few_cells_are_probed(shop):
    """The cells that are probed hold none of them, or not all."""
    with Store(shop) as store:
        dataset = open_dataset(store, "shop")
        before = dataset.manifest
        one = {"image": {"nprobe": 1}, "text": {"nprobe": 1}}
        dataset.with_manifest(replace(before, search_params=one))
        try:
            with SearchClient(store, "shop", encoder=PlainEncoder()) as client:
                for first in range(0, ITEMS - 3, 41):
                    where = [f"number>={first}", f"number<{first + 3}"]
                    hits = client.search("red dress", where=where)
                    found = sorted(hit.metadata["number"] for hit in hits)
                    assert found == [first, first + 1, first + 2]
        finally:
            dataset.with_manifest(before)


@ON_LITE
def test_the_hits_of_many_queries_are_those_of_single_searches(client):
    queries = [f"{word} {n}" for word in WORDS for n in range(7)]
    for options in ({}, {"fusion": "zscore", "dedup": "near"}, {"offset": 45, "fusion": "rrf"}):
        together = client.search_many(queries, **options)
        for query, hits in list(zip(queries, together, strict=True))[::9]:
            alone = client.search(query, **options)
            assert [hit.item_id for hit in hits] == [hit.item_id for hit in alone]
            scores = [hit.score for hit in alone]
            assert [hit.score for hit in hits] == pytest.approx(scores, abs=1e-5)


@pytest.fixture
def always_checked(monkeypatch):
    """Clients look whether the dataset has changed at every search."""
    monkeypatch.setattr(current, "CHECK_S", 0)
    monkeypatch.setattr(current, "CHECK_SHARE", 0)


@pytest.mark.usefixtures("always_checked")
def test_answers_do_not_depend_on_when_the_client_was_opened(uri, dataset):
    def hits(client):
        return client.search("red dress", top_k=20)

    with Store(uri) as store:
        store_items(store, dataset, range(0))
        with SearchClient(store, dataset, encoder=PlainEncoder()) as old:
            assert hits(old) == []

            def as_new():
                with SearchClient(store, dataset, encoder=PlainEncoder()) as new:
                    return hits(old) == hits(new) != []

            opened = store_items(store, dataset, range(50))
            assert as_new()
            for collection, rows in zip(opened.collections, rows_of(range(50, 99)), strict=True):
                collection.upsert(rows, {})
            opened.counts()  # the writes of an ingest that has not finished can be seen
            assert as_new()
            opened.finish()
            assert as_new()
            drop_dataset(dataset, store)
            store_items(store, dataset, range(200, 250))
            assert as_new()
            drop_dataset(dataset, store)


@pytest.mark.usefixtures("always_checked")
def test_a_dataset_that_was_built_again_with_another_encoder_is_not_searched(uri, dataset):
    with Store(uri) as store:
        store_items(store, dataset, range(5))
        with SearchClient(store, dataset, encoder=PlainEncoder()) as client:
            assert client.search("red")
            drop_dataset(dataset, store)
            with pytest.raises(Exception, match=f"dataset '{dataset}' is no longer in"):
                client.search("red")
            create_dataset(store, Manifest(dataset, "other", "1" * 16, 8), 5)
            with pytest.raises(Exception, match="was built with other"):
                client.search("red")
        drop_dataset(dataset, store)


def test_answers_are_read_in_messages_of_bounded_size(uri, dataset):
    """All metadata together are longer than a message may be."""
    with Store(uri) as store:
        store_items(store, dataset, range(1200), metadata={"text": "x" * 60_000})
        with SearchClient(store, dataset, encoder=PlainEncoder()) as client:
            assert len(client.search("lamp", top_k=1200)) == 1200
            queries = [f"{word} {n}" for word in WORDS for n in range(7)]
            found = client.search_many(queries, top_k=30)
            assert [len(hits) for hits in found] == [30] * len(queries)
        drop_dataset(dataset, store)
