"""Evaluation of a stored dataset: the same results on every engine."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mm_milvus import SearchClient, ingest
from mm_milvus.errors import OptionError, QueryError
from mm_milvus.evaluation.evaluate import evaluate
from mm_milvus.evaluation.judged_runs import encode, rankings
from mm_milvus.evaluation.judgements import read_queries
from mm_milvus.evaluation.options import EvaluateOptions
from mm_milvus.evaluation.stored import read_stored
from mm_milvus.keys import caption_key, content_hash, image_key
from mm_milvus.search.fusion import FUSION_MODES
from mm_milvus.search.space import Space
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import create_dataset, encoder_suffix, open_dataset
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.rows import Row

SHIRT, DRESS, HAT = np.eye(4, dtype=np.float32)[:3]
IMAGES = {
    "shirt-1": (SHIRT, "shirt"),
    "shirt-2": (SHIRT, "shirt"),
    "dress": (DRESS, "dress"),
    "disguised": (DRESS, "hat"),
    "hat": (HAT, "hat"),
}
"""Vector and label of each image; `disguised` is a hat that looks like a dress."""

VECTORS = {"a shirt": SHIRT, "a dress": DRESS, "a hat": HAT, "a top": SHIRT}


def row(item_id: str, vector: np.ndarray, caption: str | None, number: int, label: str) -> Row:
    return Row(
        id=image_key(item_id) if caption is None else caption_key(item_id, number),
        item_id=item_id,
        uri=f"/pictures/{item_id}",
        content_hash=content_hash(caption or item_id),
        detail_hash=content_hash(label),
        embedding=vector,
        metadata={"label": label},
        caption=caption,
    )


def captions(item_id: str, label: str) -> list[str]:
    return [f"a {label}", *(["a top"] if item_id == "shirt-1" else [])]


@pytest.fixture(scope="session")
def wardrobe(server, tmp_path_factory) -> tuple[str, str]:
    """URI of a store, and name of a dataset of the five images with their captions."""
    uri = server or str(tmp_path_factory.mktemp("wardrobe") / "store.db")
    with Store(uri) as connection:
        fill(connection, Manifest("wardrobe", "test", "0" * 16, dim=4))
    return uri, "wardrobe"


def fill(connection: Store, manifest: Manifest, mixed_up: int = 0) -> None:
    """Store the five images with their captions; `mixed_up` gives captions wrong vectors."""
    opened = create_dataset(connection, manifest, expected_rows=10)
    opened.images.upsert(
        [row(name, vector, None, 0, label) for name, (vector, label) in IMAGES.items()], {}
    )
    opened.texts.upsert(
        [
            row(name, np.roll(VECTORS[caption], mixed_up), caption, number, label)
            for name, (_, label) in IMAGES.items()
            for number, caption in enumerate(captions(name, label))
        ],
        {},
    )
    opened.finish()


def metrics_by_run(evaluation) -> dict[tuple[str, str], dict[str, float | None]]:
    return {(run.direction, run.index): run.metrics for run in evaluation.runs}


def test_every_direction_has_the_metrics_computed_by_hand(wardrobe):
    uri, name = wardrobe
    runs = metrics_by_run(
        evaluate(name, store=uri, options=EvaluateOptions(by="label", cuts=(1, 2), depth=4))
    )
    directions = ("text_to_image", "image_to_text", "text_to_text", "image_to_image")
    indexes = ("IVF_FLAT", "exact")
    assert list(runs) == [(direction, index) for direction in directions for index in indexes]

    # "a shirt" finds both shirts, "a dress" after the disguised hat, "a hat" hat then disguised
    # (all others score 0, in the order of their names), "a top" its shirt.
    metrics = runs["text_to_image", "exact"]
    assert metrics["success@1"] == pytest.approx(3 / 4)
    assert metrics["recall@1"] == pytest.approx((1 / 2 + 0 + 1 / 2 + 1) / 4)
    assert metrics["recall@2"] == pytest.approx((1 + 1 + 1 + 1) / 4)
    assert metrics["precision@2"] == pytest.approx((1 + 1 / 2 + 1 + 1 / 2) / 4)
    assert metrics["mrr"] == pytest.approx((1 + 1 / 2 + 1 + 1) / 4)
    assert metrics["median_rank"] == 1

    # Each image finds its caption first, except the disguised: "a dress", then "a hat".
    metrics = runs["image_to_text", "exact"]
    assert metrics["success@1"] == pytest.approx(4 / 5)
    assert metrics["mrr"] == pytest.approx((4 + 1 / 2) / 5)

    # "a shirt" and "a top" are captions of one item, and have one vector.
    assert runs["text_to_text", "exact"]["recall@1"] == 1

    # The shirts find each other; the hat finds the first of all that tie at 0, the disguised;
    # the disguised finds the dress first. No other item is a dress, so that the dress is no query.
    metrics = runs["image_to_image", "exact"]
    assert metrics["success@1"] == pytest.approx((1 + 1 + 0 + 1) / 4)

    for direction in directions:
        through = dict(runs[direction, "IVF_FLAT"])
        assert [through.pop(f"index_recall@{k}") for k in (1, 2)] == [1, 1]
        assert through == runs[direction, "exact"]


@pytest.mark.engines("lite")
def test_each_encoder_of_a_dataset_has_its_runs(uri, dataset):
    with Store(uri) as connection:
        fill(connection, Manifest(dataset, "hub/good", "0" * 16, dim=4))
        other = encoder_suffix("hub/bad", "1" * 16)
        fill(connection, Manifest(dataset, "hub/bad", "1" * 16, dim=4, suffix=other), mixed_up=1)
    evaluation = evaluate(dataset, store=uri)
    assert evaluation.encoders == ["hub/good", "hub/bad"]
    first = {run.encoder: run for run in evaluation.runs if run.direction == "image_to_text"}
    assert first["hub/good"].metrics["success@1"] > first["hub/bad"].metrics["success@1"]
    names = [evaluation.run_name(run) for run in evaluation.runs]
    assert names[0] == "text_to_image-index-hub_good"
    assert len(set(names)) == len(names) == 12

    options = EvaluateOptions(encoders=("bad",))
    single = evaluate(dataset, store=uri, options=options)
    assert [run.metrics for run in single.runs] == [run.metrics for run in evaluation.runs[6:]]
    assert single.run_name(single.runs[0]) == "text_to_image-index"


def test_judgements_between_items_are_evaluated(wardrobe, tmp_path):
    uri, name = wardrobe
    qrels = tmp_path / "qrels.txt"
    qrels.write_text("shirt-1 0 shirt-2 2\ndress 0 hat 1\ndress 0 disguised 2\n")
    options = EvaluateOptions(qrels=qrels, cuts=(1, 3), depth=3)
    [_, exact] = evaluate(name, store=uri, options=options).runs
    assert exact.query_ids == ["dress", "shirt-1"]
    assert exact.metrics["success@1"] == 1
    assert exact.values["ndcg@3"][1] == 1
    qrels.write_text("nobody 0 hat 1\n")
    with pytest.raises(QueryError, match="judges no item"):
        evaluate(name, store=uri, options=options)


@pytest.mark.engines("lite")
def test_the_old_keywords_work_with_one_warning_that_points_at_the_caller(wardrobe):
    uri, name = wardrobe
    with pytest.warns(DeprecationWarning, match=r"evaluate\(uri=") as warnings:
        evaluation = evaluate(name, uri=uri)
    assert [Path(warning.filename) for warning in warnings] == [Path(__file__)]
    assert metrics_by_run(evaluation) == metrics_by_run(evaluate(name, store=uri))


def test_what_cannot_be_evaluated_is_rejected(wardrobe):
    uri, name = wardrobe
    with pytest.raises(QueryError, match="no two items have the same 'price'"):
        evaluate(name, store=uri, options=EvaluateOptions(by="price"))
    with pytest.raises(OptionError, match="queries need judgements"):
        EvaluateOptions(queries=Path("queries.jsonl"))
    with pytest.raises(OptionError, match="the depth is 5, less than the largest k, 10"):
        EvaluateOptions(depth=5)


@pytest.fixture(scope="session")
def judged(server, emoji, tmp_path_factory) -> tuple[str, Path]:
    """URI of a store with forty images; folder with three queries and their judgements."""
    folder = tmp_path_factory.mktemp("judged")
    (folder / "items").mkdir()
    lines = (emoji / "metadata.jsonl").read_text().splitlines()[::17]
    with (folder / "items" / "metadata.jsonl").open("w") as table:
        for line in lines:
            fields = json.loads(line)
            name = Path(fields["file_name"]).name
            shutil.copy(emoji / fields["file_name"], folder / "items" / name)
            table.write(json.dumps({**fields, "file_name": name}) + "\n")
    first = json.loads(lines[0])
    image = {"query_id": "picture", "image": f"items/{Path(first['file_name']).name}"}
    queries = [
        {"query_id": "name", "text": first["captions"][0]},
        {"query_id": "nothing", "text": "a query without a relevant item"},
        image,
    ]
    (folder / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
    relevant = Path(first["file_name"]).name
    (folder / "qrels.txt").write_text(
        f"name 0 {relevant} 1\nname 0 elsewhere.png 1\nnothing 0 {relevant} 0\n"
        f"picture 0 {relevant} 1\n"
    )
    uri = server or str(folder / "store.db")
    with contextlib.chdir(folder):
        ingest(folder / "items", store=uri, dataset="judged")
    return uri, folder


def test_judged_queries_are_answered_by_every_fusion_mode(judged):
    uri, folder = judged
    options = EvaluateOptions(
        queries=folder / "queries.jsonl", qrels=folder / "qrels.txt", cuts=(1, 5), depth=5
    )
    evaluation = evaluate("judged", store=uri, options=options)
    lists = ("image", "text", *FUSION_MODES)
    assert [(run.direction, run.fusion, run.index) for run in evaluation.runs] == [
        (direction, fusion, index)
        for direction in ("text_to_item", "image_to_item")
        for fusion in lists
        for index in ("IVF_FLAT", "exact")
    ]
    assert evaluation.remarks == [
        "1 of 3 queries have no relevant item: left out",
        "1 relevant items are not in the dataset, such as elsewhere.png: they count as not found",
    ]
    runs = {evaluation.run_name(run): run.metrics for run in evaluation.runs}
    # The name is the caption of its item; the other relevant item is not there.
    assert runs["text_to_item-text-exact"]["success@1"] == 1
    assert runs["text_to_item-text-exact"]["recall@5"] == 1 / 2
    assert runs["image_to_item-image-exact"]["mrr"] == 1
    for fusion in FUSION_MODES:
        through = dict(runs[f"text_to_item-{fusion}-index"])
        assert through.pop("index_recall@5") == through.pop("index_recall@1") == 1
        assert through == runs[f"text_to_item-{fusion}-exact"]


def test_the_ranking_through_the_index_is_that_of_a_search(judged):
    uri, folder = judged
    [query, _, _] = read_queries(folder / "queries.jsonl")
    with Store(uri) as connection:
        opened = open_dataset(connection, "judged")
        space = Space(opened)
        with read_stored(opened) as stored:
            queries = [query.query]
            vectors = encode(space, queries)
            ranked = rankings(space.lists, queries, vectors, stored.item_ids, ["pnorm"], 10)
            names = [stored.item_ids[number] for number in ranked["pnorm"][0]]
    with SearchClient(uri, "judged") as client:
        assert names == [hit.item_id for hit in client.search_many(queries, fusion="pnorm")[0]]
