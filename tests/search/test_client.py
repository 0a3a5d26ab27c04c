"""The contract of the search client, the same on every engine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mm_milvus import AsyncSearchClient, Condition, QueryError, SearchClient, StoreError, ingest
from mm_milvus.encoders import load_encoder
from mm_milvus.images import load_pixels

COUNT = 60


@pytest.fixture(scope="session")
def catalogue(server, emoji, tmp_path_factory):
    """Sixty pictures with a name, a price and tags, ingested once an engine."""
    folder = tmp_path_factory.mktemp("catalogue")
    lines = (emoji / "metadata.jsonl").read_text().splitlines()[:: 700 // COUNT][:COUNT]
    with (folder / "metadata.jsonl").open("w") as table:
        for number, line in enumerate(lines):
            row = json.loads(line)
            name = Path(row["file_name"]).name
            shutil.copy(emoji / row["file_name"], folder / name)
            extra = {"price": number, "tags": ["even" if number % 2 == 0 else "odd", "all"]}
            captions = [] if number % 10 == 9 else [row["captions"][0]]
            table.write(json.dumps({"file_name": name, "captions": captions, **extra}) + "\n")
    uri = server or str(folder / "store.db")
    before = Path.cwd()
    os.chdir(folder)
    try:
        ingest(folder, uri=uri, dataset="catalogue")
    finally:
        os.chdir(before)
    return uri, folder


@pytest.fixture
def client(catalogue):
    with SearchClient(catalogue[0], "catalogue") as client:
        yield client


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").open()]


def test_a_hit_tells_what_it_is_and_where_it_stood(client, catalogue):
    row = rows(catalogue[1])[0]
    [name] = row["captions"]
    hit = client.search(name, top_k=3)[0]
    assert hit.item_id == row["file_name"]
    assert hit.uri == str(catalogue[1] / row["file_name"])
    assert hit.caption == name
    assert hit.metadata["price"] == 0
    assert hit.text.rank == 1
    assert hit.score == max(hit.text.score, hit.image.score if hit.image else -1)


def test_the_ranking_is_the_exact_one(client, catalogue):
    """Equal to a brute-force ranking, hence the same on every engine."""
    _, folder = catalogue
    encoder = load_encoder("compact")
    items = rows(folder)
    pixels = np.stack(
        [
            load_pixels((folder / row["file_name"]).read_bytes(), encoder.spec.preprocessing)
            for row in items
        ]
    )
    question = encoder.encode_texts(["something to drink"])[0]
    images = encoder.encode_images(pixels) @ question
    texts = [
        float(encoder.encode_texts(row["captions"])[0] @ question) if row["captions"] else -1.0
        for row in items
    ]
    best = [max(pair) for pair in zip(images, texts, strict=True)]
    expected = sorted(range(len(items)), key=lambda n: -best[n])[:10]
    hits = client.search("something to drink")
    assert [hit.item_id for hit in hits] == [items[n]["file_name"] for n in expected]
    np.testing.assert_allclose([hit.score for hit in hits], [best[n] for n in expected], atol=2e-3)


def test_a_picture_finds_itself_by_path_bytes_or_image(client, catalogue):
    path = catalogue[1] / rows(catalogue[1])[5]["file_name"]
    for image in (path, str(path), path.read_bytes(), Image.open(path)):
        hit = client.search(image=image, top_k=1)[0]
        assert hit.item_id == path.name
        assert hit.image.rank == 1
        assert hit.image.score == pytest.approx(1, abs=1e-3)


def test_text_and_image_together_lie_between_the_two(client, catalogue):
    first, second = rows(catalogue[1])[3], rows(catalogue[1])[30]
    both = client.search(first["captions"][0], catalogue[1] / second["file_name"], top_k=5)
    ids = [hit.item_id for hit in both]
    assert first["file_name"] in ids
    assert second["file_name"] in ids


def test_a_hit_by_its_image_alone_shows_the_items_own_caption(client, catalogue):
    named = {row["file_name"]: (row["captions"] or [None])[0] for row in rows(catalogue[1])}
    for hit in client.search("food", top_k=COUNT):
        if hit.text is None:
            assert hit.caption == named[hit.item_id]


@pytest.mark.parametrize("fusion", ["max", "rrf"])
def test_every_item_comes_once_and_best_first(client, fusion):
    hits = client.search("an animal", top_k=COUNT, fusion=fusion)
    assert len({hit.item_id for hit in hits}) == len(hits) == COUNT
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_filters_restrict_both_collections(client):
    where = ["price>=10", Condition("tags", "has", "odd")]
    hits = client.search("a thing", top_k=COUNT, where=where, filter='metadata["price"] < 20')
    assert sorted(hit.metadata["price"] for hit in hits) == [11, 13, 15, 17, 19]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "the query is empty"),
        ({"text": "  "}, "the query is empty"),
        ({"text": "a", "top_k": 0}, "top_k is 0"),
        ({"text": "a", "top_k": 16_385}, "must be 1 to 16,384"),
        ({"text": "a", "fusion": "best"}, "unknown fusion 'best': the modes are max, rrf"),
        ({"text": "a", "where": ["price<<3"]}, "at character 7"),
        ({"text": "a", "filter": "price <"}, "Milvus refused the filter 'price <'|refused"),
        ({"image": b"no image"}, "cannot search with the image given as bytes"),
        ({"image": "nowhere.png"}, "cannot read the image nowhere.png"),
    ],
)
def test_a_bad_question_is_refused_in_one_line(client, arguments, reason):
    with pytest.raises(QueryError, match=reason) as error:
        client.search(**arguments)
    assert "\n" not in str(error.value)


def test_an_unknown_data_set_is_refused_with_those_there_are(catalogue):
    with pytest.raises(QueryError, match=r"no data set 'nobody'.*catalogue"):
        SearchClient(catalogue[0], "nobody")


def test_a_store_that_does_not_exist_is_not_created_by_asking(tmp_path):
    path = tmp_path / "none.db"
    with pytest.raises(StoreError, match="mm-milvus ingest"):
        SearchClient(str(path))
    assert not path.exists()


def test_many_threads_share_a_client(client):
    texts = ["a cat", "a house", "music", "sports"] * 4
    alone = {text: client.search(text) for text in set(texts)}
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(client.search, texts)) == [alone[text] for text in texts]


def test_the_asynchronous_client_gives_the_same_hits(client, catalogue):
    async def ask():
        async with AsyncSearchClient(catalogue[0], "catalogue") as asynchronous:
            return await asyncio.gather(
                asynchronous.search("a cat"), asynchronous.search("music", fusion="rrf")
            )

    assert asyncio.run(ask()) == [client.search("a cat"), client.search("music", fusion="rrf")]
