"""SearchClient and AsyncSearchClient: the same results on every engine."""

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

from mm_milvus import (
    AsyncSearchClient,
    Condition,
    IngestOptions,
    OptionError,
    QueryError,
    SearchClient,
    Store,
    StoreError,
    ingest,
)
from mm_milvus.encoders.load import load_encoder
from mm_milvus.images.decoding import load_pixels
from mm_milvus.rerankers import load_reranker
from mm_milvus.search.fused import DEPTHS
from mm_milvus.search.fusion import FUSION_MODES, Background, background_of, fuse_scores
from mm_milvus.search.options import SearchOptions
from mm_milvus.search.query import Query
from mm_milvus.search.rerank import parse_rerank
from webserver import web_server

pytestmark = pytest.mark.engines("lite", "server", "container")

COUNT = 60


@pytest.fixture(scope="session")
def catalogue(server, emoji, tmp_path_factory):
    """Sixty pictures with a name, a price and tags, ingested once per engine."""
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
        ingest(folder, store=uri, dataset="catalogue")
    finally:
        os.chdir(before)
    return uri, folder


@pytest.fixture(scope="session")
def client(catalogue):
    """One client for all tests, as a service has it: a server takes a second to open a dataset."""
    with SearchClient(catalogue[0], "catalogue") as client:
        yield client


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").open()]


def test_a_hit_has_the_item_and_its_place_in_each_list(client, catalogue):
    row = rows(catalogue[1])[0]
    [name] = row["captions"]
    hit = client.search(name, top_k=3, fusion="max")[0]
    assert hit.item_id == row["file_name"]
    assert hit.uri == str(catalogue[1] / row["file_name"])
    assert hit.caption == name
    assert hit.metadata["price"] == 0
    assert hit.text.rank == 1
    assert hit.score == max(hit.text.score, hit.image.score if hit.image else -1)


@pytest.fixture(scope="module")
def exact(catalogue):
    """A function from a text to all items' scores, (2, items), by brute force; and the item_ids."""
    _, folder = catalogue
    encoder = load_encoder("compact")
    items = rows(folder)
    pixels = [
        load_pixels((folder / row["file_name"]).read_bytes(), encoder.spec.preprocessing)
        for row in items
    ]
    images = encoder.encode_images(np.stack(pixels))
    captioned = [n for n, row in enumerate(items) if row["captions"]]
    texts = encoder.encode_texts([items[n]["captions"][0] for n in captioned])

    def scores(text: str) -> np.ndarray:
        vector = encoder.encode_texts([text])[0]
        table = np.full((2, len(items)), np.nan)
        table[0] = images @ vector
        table[1, captioned] = texts @ vector
        return table

    return scores, [row["file_name"] for row in items]


@pytest.mark.parametrize("fusion", FUSION_MODES)
def test_the_ranking_is_the_exact_one(client, exact, fusion):
    """Equal to a brute-force ranking, hence the same on every engine."""
    scores, item_ids = exact
    table = scores("something to drink")
    noise = Background(np.nanmean(table, axis=1), np.nanstd(table, axis=1), np.full(2, -1.0))
    if not FUSION_MODES[fusion].needs_background:
        noise = None
    expected: dict[str, float] = {}
    for depth in DEPTHS[:3]:
        best = np.argsort(-np.where(np.isnan(table), -np.inf, table))[:, : depth.items]
        found = sorted(set(best.ravel()) - set(np.flatnonzero(np.isnan(table).all(axis=0))))
        if noise is None:
            noise = background_of(table[:, found])
        fused = fuse_scores(table[:, found], fusion, background=noise)
        ordered = sorted(zip(-fused, [item_ids[n] for n in found], strict=True))
        for score, item_id in ordered:
            if len(expected) < depth.hits:
                expected.setdefault(item_id, -score)
    hits = client.search("something to drink", top_k=COUNT, fusion=fusion)
    assert sorted(hit.item_id for hit in hits) == sorted(item_ids)
    np.testing.assert_allclose(
        [hit.score for hit in hits], list(expected.values()), rtol=2e-2, atol=2e-3
    )
    np.testing.assert_allclose(
        [hit.score for hit in hits], [expected[hit.item_id] for hit in hits], rtol=2e-2, atol=2e-3
    )


def test_every_hit_is_scored_in_both_lists(client, exact):
    """Also in the list that did not find it."""
    scores, item_ids = exact
    table = dict(zip(item_ids, scores("a red fruit").T, strict=True))
    for hit in client.search("a red fruit", top_k=COUNT):
        image, text = table[hit.item_id]
        assert hit.image.score == pytest.approx(image, abs=2e-3)
        if np.isnan(text):
            assert (hit.text, hit.caption) == (None, None)
        else:
            assert hit.text.score == pytest.approx(text, abs=2e-3)


@pytest.mark.parametrize("fusion", ["pnorm", "max"])
@pytest.mark.parametrize("weights", [None, {"image": 0.2, "text": 0.8}])
def test_leaving_candidates_incomplete_does_not_change_the_hits(client, fusion, weights):
    for text in ("a cat", "food", "something red", "a person who sings", "2:00"):
        options = {"top_k": 3, "fusion": fusion, "fusion_weights": weights}
        bounded = client.search(text, **options)
        # All candidates are completed, since any of them may be merged; no two are equal.
        completed = client.search(text, **options, dedup="content")
        for hit, expected in zip(bounded, completed, strict=True):
            assert (hit.item_id, hit.score) == (expected.item_id, pytest.approx(expected.score))
            assert hit.image.score == pytest.approx(expected.image.score)
            assert (hit.text is None) == (expected.text is None)


def test_an_image_by_path_bytes_or_pil_image_finds_itself(client, catalogue):
    path = catalogue[1] / rows(catalogue[1])[5]["file_name"]
    for image in (path, str(path), path.read_bytes(), Image.open(path)):
        hit = client.search(image=image, top_k=1)[0]
        assert hit.item_id == path.name
        assert hit.image.rank == 1
        assert hit.image.score == pytest.approx(1, abs=1e-3)


def test_an_image_is_fetched_from_its_url(client, catalogue):
    name = rows(catalogue[1])[5]["file_name"]
    with web_server() as server:
        server.files = {name: (catalogue[1] / name).read_bytes()}
        url = f"{server.url}/plain"
        assert client.search(image=f"{url}/{name}", top_k=1)[0].item_id == name
        with pytest.raises(QueryError, match=r"cannot read the image: .*/nothing\.png"):
            client.search(image=f"{url}/nothing.png")


def test_an_array_of_pixels_is_an_image(client, catalogue):
    path = catalogue[1] / rows(catalogue[1])[5]["file_name"]
    pixels = np.asarray(Image.open(path).convert("RGBA"))
    on_white = Image.alpha_composite(
        Image.new("RGBA", pixels.shape[1::-1], "white"), Image.fromarray(pixels)
    ).convert("RGB")
    assert client.search(image=np.asarray(on_white), top_k=1)[0].item_id == path.name


def test_more_like_an_item_does_not_return_the_item(client, catalogue):
    first, second = (row["file_name"] for row in rows(catalogue[1])[3:5])
    like = client.search(like=first, top_k=COUNT)
    assert len(like) == COUNT - 1
    assert first not in {hit.item_id for hit in like}
    by_picture = client.search(image=catalogue[1] / first, top_k=COUNT)
    # The stored vector is that of the picture, except for the engine's last digits.
    assert [hit.item_id for hit in like][:5] == [
        hit.item_id for hit in by_picture if hit.item_id != first
    ][:5]
    assert len(client.search(like=[first, second], top_k=COUNT)) == COUNT - 2


def test_an_unwanted_text_lowers_its_item(client, catalogue):
    name = rows(catalogue[1])[0]["captions"][0]
    wanted = [hit.item_id for hit in client.search("a thing", top_k=COUNT)]
    without = [hit.item_id for hit in client.search("a thing", minus=name, top_k=COUNT)]
    item_id = rows(catalogue[1])[0]["file_name"]
    assert without.index(item_id) > wanted.index(item_id)


def test_a_weight_moves_the_query_towards_its_part(client, catalogue):
    picture = catalogue[1] / rows(catalogue[1])[30]["file_name"]

    def score(weight: float) -> float:
        hits = client.search("a cat", picture, weights=[weight], top_k=COUNT)
        return next(hit.image.score for hit in hits if hit.item_id == picture.name)

    assert score(0.2) < score(1) < score(5)


def test_pages_continue_each_other(client):
    all_hits = client.search("an animal", top_k=30)
    pages = [client.search("an animal", top_k=10, offset=start) for start in (0, 10, 20)]
    assert [hit for page in pages for hit in page] == all_hits
    assert client.search("an animal", offset=COUNT) == []


def test_min_score_leaves_out_lower_hits(client):
    all_hits = client.search("an animal", top_k=COUNT, fusion="max")
    least = all_hits[7].score
    hits = client.search("an animal", top_k=COUNT, fusion="max", min_score=least)
    assert hits == [hit for hit in all_hits if hit.score >= least]


def test_many_queries_have_the_hits_of_single_searches(client, catalogue):
    like = rows(catalogue[1])[3]["file_name"]
    queries = [Query.of("a cat"), Query.of(like=like), Query.of(["music", "food"], weights=[2])]
    queries += [Query.of(f"number {n}") for n in range(70)]
    together = client.search_many(queries, top_k=5)
    for query, hits in list(zip(queries, together, strict=True))[:5]:
        [alone] = client.search_many([query], top_k=5)
        assert [hit.item_id for hit in hits] == [hit.item_id for hit in alone]
    assert len(together) == len(queries)
    assert client.search_many([]) == []


def test_an_explanation_has_terms_that_add_up_to_the_score(client):
    explanation = client.explain("a cat", fusion="weighted")
    assert explanation.hits == client.search("a cat", fusion="weighted")
    for hit, places in zip(explanation.hits, explanation.places, strict=True):
        assert places["image"].score == pytest.approx(hit.image.score)
        assert places["image"].rank == hit.image.rank
        if set(places) == {"image", "text"}:
            assert hit.score == pytest.approx(sum(place.term for place in places.values()))
    assert list(explanation.stages) == [
        *("encode", "search", "background", "complete", "fuse", "details"),
    ]
    assert all(milliseconds >= 0 for milliseconds in explanation.stages.values())
    assert json.loads(json.dumps(explanation.to_dict()))["hits"][0]["lists"]["image"]["rank"]


def test_rerank_stages_run_in_order_and_are_timed(client):
    def reverse(hits, context):
        assert context.query.texts == ("a cat",)
        assert context.vectors(hits).shape == (len(hits), client.encoder.spec.dim)
        return hits[::-1]

    plain = client.search("a cat", top_k=50)
    explanation = client.explain("a cat", rerank=[reverse, reverse], top_k=50)
    assert explanation.hits == plain
    assert explanation.stages["rerank reverse"] >= 0
    assert client.search("a cat", rerank=[reverse], top_k=50) == plain[::-1]
    exact = client.search("a cat", rerank=[parse_rerank("exact")], top_k=10)
    assert [hit.item_id for hit in exact] == [hit.item_id for hit in plain[:10]]
    boosted = client.search("a cat", rerank=[parse_rerank("boost:price=0:99")], top_k=50)
    assert boosted[0].metadata["price"] == 0


def test_a_text_with_an_image_finds_items_of_both(client, catalogue):
    first, second = rows(catalogue[1])[3], rows(catalogue[1])[30]
    both = client.search(first["captions"][0], catalogue[1] / second["file_name"], top_k=5)
    ids = [hit.item_id for hit in both]
    assert first["file_name"] in ids
    assert second["file_name"] in ids


def test_a_hit_shows_its_own_caption(client, catalogue):
    captions = {row["file_name"]: (row["captions"] or [None])[0] for row in rows(catalogue[1])}
    for hit in client.search("food", top_k=COUNT):
        assert hit.caption == captions[hit.item_id]


@pytest.mark.parametrize("fusion", FUSION_MODES)
def test_every_item_is_returned_once_best_first(client, fusion):
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
        ({"text": ["a", " "]}, "a text has no words"),
        ({"text": "a", "weights": [1, 2]}, "2 weights for 1 parts"),
        ({"text": "a", "weights": [-1]}, "make no sense"),
        ({"like": "nobody.png"}, "no item 'nobody.png' in dataset 'catalogue'"),
        ({"image": np.zeros((4, 4, 2), np.uint8)}, "give pixels of uint8"),
        ({"text": "a", "where": ["price<<3"]}, "at character 7"),
        ({"text": "a", "filter": "price <"}, "Milvus refused the filter 'price <'|refused"),
        ({"image": b"no image"}, "cannot search with the image given as bytes"),
        ({"image": "nowhere.png"}, "cannot read the image: nowhere.png cannot be read"),
    ],
)
def test_a_malformed_query_is_rejected_in_one_line(client, arguments, reason):
    with pytest.raises(QueryError, match=reason) as error:
        client.search(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"offset": -1}, "offset is -1"),
        ({"offset": 16_380}, "must be 0 to 16,374"),
        ({"dedup": "far"}, "the modes are item, content, near"),
        ({"fusion_weights": {"video": 1}}, "there are image and text"),
        ({"fusion_weights": {"text": -1}}, "make no sense"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_k": 16_385}, "must be 1 to 16,384"),
        ({"fusion": "best"}, "unknown fusion 'best': the modes are pnorm, max, "),
    ],
)
def test_a_bad_option_is_rejected_in_one_line(client, options, reason):
    with pytest.raises(OptionError, match=reason) as error:
        client.search("a", **options)
    assert "\n" not in str(error.value)


def test_options_are_given_as_an_object_as_keywords_or_as_both(client):
    options = SearchOptions(top_k=3, fusion="max")
    by_keywords = client.search("a cat", top_k=3, fusion="max")
    assert client.search("a cat", options=options) == by_keywords
    assert client.search_many(["a cat"], options=options) == [by_keywords]
    assert client.explain("a cat", options=options).hits == by_keywords
    assert client.search("a cat", options=options, top_k=2) == by_keywords[:2]
    with pytest.raises(TypeError, match="colour"):
        client.search("a cat", colour="red")


def test_an_unknown_dataset_is_rejected_with_the_names_of_the_others(catalogue):
    with pytest.raises(QueryError, match=r"no dataset 'nobody'.*catalogue"):
        SearchClient(catalogue[0], "nobody")


def test_an_open_store_stays_open_when_the_client_is_closed(catalogue):
    with Store(catalogue[0]) as store:
        with SearchClient(store, "catalogue") as client:
            hits = client.search("a cat")
        with SearchClient(store, "catalogue") as client:
            assert client.search("a cat") == hits


@pytest.mark.engines("lite")
def test_old_keywords_work_with_one_warning_that_points_at_the_caller(catalogue):
    with pytest.warns(DeprecationWarning, match=r"SearchClient\(uri=") as warnings:
        client = SearchClient(uri=catalogue[0], dataset="catalogue")
    with client:
        hits = client.search("a cat")
    assert [Path(warning.filename) for warning in warnings] == [Path(__file__)]

    async def search():
        async with AsyncSearchClient(uri=catalogue[0], dataset="catalogue") as asynchronous:
            return await asynchronous.search("a cat")

    with pytest.warns(DeprecationWarning, match=r"AsyncSearchClient\(uri=") as warnings:
        assert asyncio.run(search()) == hits
    assert [Path(warning.filename) for warning in warnings] == [Path(__file__)]
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        SearchClient(catalogue[0], "catalogue", colour="red")


def test_a_search_does_not_create_a_missing_store(tmp_path):
    path = tmp_path / "none.db"
    with pytest.raises(StoreError, match="ingest a dataset into it first"):
        SearchClient(str(path))
    assert not path.exists()


def test_threads_can_share_a_client(client):
    texts = ["a cat", "a house", "music", "sports"] * 4
    expected = {text: client.search(text) for text in set(texts)}
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(client.search, texts)) == [expected[text] for text in texts]


def test_the_asynchronous_client_returns_the_same_hits(client, catalogue):
    async def search():
        async with AsyncSearchClient(catalogue[0], "catalogue") as asynchronous:
            return await asyncio.gather(
                asynchronous.search("a cat"), asynchronous.search("music", fusion="rrf")
            )

    assert asyncio.run(search()) == [client.search("a cat"), client.search("music", fusion="rrf")]


def test_copies_of_an_image_are_merged_into_one_hit(catalogue, uri, dataset, tmp_path):
    source = tmp_path / "twins"
    source.mkdir()
    first, second = (row["file_name"] for row in rows(catalogue[1])[3:5])
    for name, copy in (("a.png", first), ("b.png", first), ("other.png", second)):
        shutil.copy(catalogue[1] / copy, source / name)
    # The same picture, in other bytes.
    Image.open(catalogue[1] / first).save(source / "c.png", compress_level=1)
    ingest(source, store=uri, dataset=dataset)
    with SearchClient(uri, dataset) as client:

        def groups(dedup):
            hits = client.search(image=catalogue[1] / first, dedup=dedup)
            return [{hit.item_id, *hit.duplicates} for hit in hits]

        assert groups("item") == [{"a.png"}, {"b.png"}, {"c.png"}, {"other.png"}]
        assert groups("content") == [{"a.png", "b.png"}, {"c.png"}, {"other.png"}]
        assert groups("near") == [{"a.png", "b.png", "c.png"}, {"other.png"}]


def test_the_lists_of_two_encoders_are_fused(catalogue, uri, dataset, model_folder):
    _, folder = catalogue
    clip = str(model_folder("clip"))
    ingest(folder, store=uri, dataset=dataset)
    with pytest.raises(StoreError, match="`add_encoder`"):
        ingest(folder, store=uri, dataset=dataset, model=clip)
    both = IngestOptions(add_encoder=True)
    report = ingest(folder, store=uri, dataset=dataset, model=clip, options=both)
    assert report.images == COUNT
    again = ingest(folder, store=uri, dataset=dataset, model=clip)
    assert (again.images, again.skipped) == (0, COUNT)

    with SearchClient(uri, dataset, encoders=["compact", "clip"]) as client:
        assert client.models == ["compact", clip]
        explanation = client.explain("a cat", top_k=COUNT)
        assert {hit.item_id for hit in explanation.hits} == {
            row["file_name"] for row in rows(folder)
        }
        assert list(explanation.places[0]) == [
            *("compact/image", "compact/text", "clip/image", "clip/text"),
        ]
    places = {
        hit.item_id: of_hit
        for hit, of_hit in zip(explanation.hits, explanation.places, strict=True)
    }
    with SearchClient(uri, dataset) as client:
        assert client.model == "compact"
        for hit in client.search("a cat", top_k=3):
            assert places[hit.item_id]["compact/image"].score == hit.image.score
    with pytest.raises(QueryError, match=r"indexed with compact, .*clip, not with siglip"):
        SearchClient(uri, dataset, encoders=["siglip"])


def test_a_reranking_model_reads_the_text_with_the_captions(client, model_folder):
    model = model_folder("cross_encoder")
    stage = parse_rerank(f"model:{model}")
    plain = client.search("a cat", top_k=50)
    hits = client.search("a cat", top_k=50, rerank=[stage])
    scores = load_reranker(str(model)).scores("a cat", [hit.caption for hit in hits if hit.caption])
    assert [hit.score for hit in hits if hit.caption] == pytest.approx(scores.tolist(), abs=1e-6)
    assert {hit.item_id for hit in hits} == {hit.item_id for hit in plain}
    assert all(hit.score == 0 for hit in hits if hit.caption is None)
    with pytest.raises(QueryError, match="ranks by a text"):
        client.search(like=plain[0].item_id, rerank=[stage])
