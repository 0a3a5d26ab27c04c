"""Items that have captions and no picture yet: stored, found, encoded, verified, and changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mm_milvus import (
    IngestOptions,
    SearchClient,
    VerifyOptions,
    classify,
    encode,
    ingest,
    open_embeddings,
    verify,
)
from mm_milvus.search.rerank import parse_rerank
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import open_dataset
from pictures import counts

pytestmark = pytest.mark.engines("lite", "server", "container")

ROWS = [
    {"id": "a", "image": "dress.png", "title": "a red dress", "price": 3},
    {"id": "b", "title": "a green umbrella", "price": 5},
    {"id": "c", "image": "", "title": ["a trombone", "brass instrument"], "price": 7},
    {"id": "d", "image": None, "price": 9},
]


def write(folder: Path, rows: list[dict[str, object]]) -> Path:
    path = folder / "products.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def store_table(uri, dataset, folder):
    """Write rows as a table, and ingest it."""

    def store_table(rows, **options):
        path = write(folder, rows)
        return ingest(path, store=uri, dataset=dataset, options=IngestOptions(**options))

    return store_table


def test_they_are_stored_with_their_captions_alone_and_found(store_table, uri, dataset):
    report = store_table(ROWS)
    assert (report.items, report.images, report.captions, report.rejected) == (4, 1, 4, 1)
    assert counts(uri, dataset) == {"image": 1, "text": 4}
    assert store_table(ROWS).skipped == 3
    with SearchClient(uri, dataset) as client:
        for mode in ("pnorm", "max", "weighted", "rrf", "zscore", "dbsf"):
            hits = client.search("a green umbrella", fusion=mode)
            assert {hit.item_id for hit in hits} == {"a", "b", "c"}
        best = client.search("a green umbrella", where=["price>4"])[0]
        assert (best.item_id, best.uri, best.image) == ("b", "", None)
        assert best.metadata == {"price": 5}
        assert client.search("brass", rerank=[parse_rerank("mmr")])[0].item_id == "c"


def test_a_picture_can_be_added_later_and_taken_away_again(store_table, uri, dataset):
    store_table(ROWS)
    with_picture = [ROWS[0], ROWS[1] | {"image": "pizza.png"}, ROWS[2]]
    report = store_table(with_picture)
    assert (report.images, report.captions) == (1, 0)
    assert counts(uri, dataset) == {"image": 2, "text": 4}
    with SearchClient(uri, dataset) as client:
        hit = client.search("a green umbrella", where=["price=5"])[0]
        assert hit.uri.endswith("pizza.png")
        assert hit.image is not None
    store_table(ROWS)
    assert counts(uri, dataset) == {"image": 1, "text": 4}
    assert store_table(ROWS[:2], prune=True).pruned == 2
    assert counts(uri, dataset) == {"image": 1, "text": 2}


def test_verify_takes_them_for_whole_and_finds_what_they_lack(store_table, uri, dataset, folder):
    store_table(ROWS)
    path = folder / "products.jsonl"
    options = VerifyOptions(sample=10)
    assert verify(path, store=uri, dataset=dataset, options=options).healthy
    assert verify(store=uri, dataset=dataset, options=options).healthy
    with Store(uri) as store:
        texts = open_dataset(store, dataset).texts
        [first] = [key for batch in texts.scan() for key, item_id in batch if item_id == "b"]
        texts.delete([first])
    report = verify(path, store=uri, dataset=dataset, options=options)
    assert set(report.problems) == {"missing", "manifest"}
    repaired = verify(path, store=uri, dataset=dataset, options=VerifyOptions(repair=True))
    assert repaired.healthy, repaired.examples
    assert counts(uri, dataset) == {"image": 1, "text": 4}


def test_they_go_through_parquet_unchanged(store_table, uri, dataset, folder, tmp_path):
    path = write(folder, ROWS)
    first = encode(path, tmp_path / "encoded")
    assert (first.images, first.captions, first.rejected) == (1, 4, 1)
    assert encode(path, tmp_path / "encoded").skipped == 3
    ingest(open_embeddings(tmp_path / "encoded"), store=uri, dataset=dataset)
    assert counts(uri, dataset) == {"image": 1, "text": 4}
    again = store_table(ROWS)
    assert (again.images, again.captions, again.skipped) == (0, 0, 3)


def test_verbs_that_need_a_picture_reject_them(folder):
    report = classify(write(folder, ROWS), ["dress", "pizza"])
    assert (report.images, report.rejected) == (1, 3)
