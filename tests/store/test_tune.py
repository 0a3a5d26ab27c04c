"""The choice of search parameters: measured on the built index, with realistic queries."""

from __future__ import annotations

import numpy as np
import pytest

from mm_milvus.errors import OptionError
from mm_milvus.keys import caption_key, content_hash, image_key
from mm_milvus.store import tuner as tuners
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import create_dataset, open_dataset
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.read import sample, stored_rows
from mm_milvus.store.rows import Row
from mm_milvus.store.tune import tune

DIM = 24


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clustered(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(40, DIM))
    rows = centres[random.integers(40, size=count)] + 0.7 * random.normal(size=(count, DIM))
    return unit(rows + shift * np.eye(DIM)[0])


def image(number: int, vector: np.ndarray) -> Row:
    name = str(number)
    return Row(image_key(name), name, name, content_hash(name), content_hash(""), vector, {})


def text(number: int, vector: np.ndarray) -> Row:
    name = str(number)
    key, hashed = caption_key(name, 0), content_hash(name)
    return Row(key, name, name, hashed, content_hash(""), vector, {"n": number}, f"no. {name}")


@pytest.fixture(autouse=True)
def few_queries(monkeypatch):
    monkeypatch.setattr(tuners, "QUERIES", 64)
    monkeypatch.setattr(tuners, "TIMED_QUERIES", 3)


@pytest.fixture
def store(uri):
    with Store(uri) as store:
        yield store


@pytest.fixture
def build(store, dataset):
    """Return a function that stores vectors as a dataset, without finishing it."""
    made = []

    def build(images: np.ndarray, texts: np.ndarray, index_type: str = "IVF_FLAT"):
        manifest = Manifest(dataset, "test", "0" * 16, DIM, index_type)
        made.append(create_dataset(store, manifest, len(images)))
        made[-1].images.upsert(map(image, range(len(images)), images), {})
        made[-1].texts.upsert(map(text, range(len(texts)), texts), {})
        return made[-1]

    yield build
    for made_dataset in made:
        made_dataset.drop()


def test_the_choice_holds_for_the_built_index_and_queries_of_both_modalities(build, monkeypatch):
    monkeypatch.setattr(tuners, "EXACT_ROWS", 0)
    images, texts = clustered(1500, 0), clustered(300, 1, shift=2.0)
    finished = build(images, texts).finish()
    params = finished.manifest.search_params["image"]
    assert 1 < params["nprobe"] < 38
    for queries in (clustered(200, 2), clustered(200, 3, shift=2.0)):
        exact = np.argsort(-(queries @ images.T), axis=1)[:, :10]
        answers = finished.images.search(queries, 10, params=params)
        pairs = zip(answers, exact.tolist(), strict=True)
        right = sum(len({int(m.item_id) for m in ms} & set(best)) for ms, best in pairs)
        assert right / exact.size >= 0.97


@pytest.mark.engines("lite")
@pytest.mark.parametrize("index_type", ["IVF_FLAT", "IVF_SQ8", "HNSW"])
def test_equal_rows_stand_in_for_each_other(build, index_type):
    groups = np.repeat(clustered(10, 0), 20, axis=0)
    opened = build(groups, np.empty((0, DIM), np.float32), index_type)
    opened.finish()
    tuner = opened.tuner(opened.images)
    assert tuner.recall(tuner.settings[-1])["image"] == tuners.Recall(1.0, 1.0)


@pytest.mark.engines("lite")
def test_a_row_is_no_neighbour_of_itself(build):
    opened = build(clustered(1, 0), clustered(2, 1))
    opened.finish()
    assert opened.tuner(opened.images).recall(1).keys() == {"text"}
    assert opened.tuner(opened.texts).recall(1).keys() == {"image", "text"}


@pytest.mark.engines("lite")
def test_the_curve_rises_to_an_exact_search(build):
    opened = build(clustered(800, 0), clustered(64, 1, shift=2.0))
    opened.finish()
    tuning = opened.tuner(opened.images).tune()
    means = [min(recall.mean for recall in point.recall.values()) for point in tuning.curve]
    assert means == sorted(means)
    assert means[-1] == 1
    assert tuning.curve[0].recall.keys() == {"image", "text"}
    assert all(point.latency_ms > 0 for point in tuning.curve)


@pytest.mark.engines("lite")
def test_a_higher_target_takes_a_larger_setting(build, monkeypatch):
    monkeypatch.setattr(tuners, "EXACT_ROWS", 0)
    opened = build(clustered(800, 0), clustered(64, 1, shift=2.0))
    opened.finish()
    low, high = (
        opened.with_target(target).tuner(opened.images).choose()["nprobe"] for target in (0.6, 1)
    )
    assert low < high


@pytest.mark.engines("lite")
def test_a_rounding_index_is_compared_with_the_stored_vectors(build):
    opened = build(clustered(400, 0), np.empty((0, DIM), np.float32), "IVF_SQ8")
    opened.finish()
    tuner = opened.tuner(opened.images)
    assert 0.9 < tuner.recall(tuner.settings[-1])["image"].mean < 1


@pytest.mark.engines("lite")
def test_a_target_recall_is_above_0_and_at_most_1(build):
    opened = build(clustered(1, 0), clustered(1, 0))
    with pytest.raises(OptionError, match="target_recall"):
        opened.with_target(0)


@pytest.mark.engines("lite")
def test_an_index_without_parameter_and_a_collection_without_rows_have_no_curve(build):
    opened = build(clustered(50, 0), np.empty((0, DIM), np.float32), "FLAT").finish()
    assert opened.tuner(opened.images).tune() == tuners.Tuning(50, None, [], {}, exact=False)
    assert opened.manifest.search_params == {"image": {}, "text": {}}
    assert opened.tuner(opened.texts).tune().curve == []


def test_a_sample_is_the_same_every_time_and_holds_whole_rows(build):
    vectors = clustered(600, 0)
    opened = build(vectors[:3], vectors)
    once, again = sample(opened.texts, 50), sample(opened.texts, 50)
    assert [row.id for row in once] == [row.id for row in again]
    assert len(once) == 50
    number = int(once[0].item_id)
    assert once[0].caption == f"no. {number}"
    assert once[0].metadata == {"n": number}
    np.testing.assert_array_equal(once[0].embedding, vectors[number])
    assert {row.item_id for row in sample(opened.images, 50)} == {"0", "1", "2"}
    [stored] = stored_rows(opened.texts, [once[0].id, image_key("nobody")])
    assert stored.id == once[0].id


def test_the_verb_writes_its_choice_to_the_manifest(build, store, monkeypatch):
    monkeypatch.setattr(tuners, "EXACT_ROWS", 0)
    built = build(clustered(800, 0), clustered(64, 1, shift=2.0)).finish()
    started = []
    report = tune(built.name, store, target_recall=0.6, on_start=started.append)
    assert started == [built.images.name, built.texts.name]
    stored = open_dataset(store, built.name).manifest
    assert stored.target_recall == 0.6
    assert stored.search_params == {name: t.params for name, t in report.tunings.items()}
    assert 1 <= stored.search_params["image"]["nprobe"] < 20
    printed = report.to_dict()
    assert printed["collections"]["image"]["params"] == stored.search_params["image"]
    assert printed["collections"]["image"]["curve"][0]["recall"].keys() == {"image", "text"}
