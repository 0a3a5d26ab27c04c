"""Known pairs of a dataset: tasks from captions, labels and judgements."""

from __future__ import annotations

import numpy as np
import pytest

from mm_milvus.evaluation.pairs import judged_images, known_pairs, same_label
from mm_milvus.evaluation.stored import StoredList, StoredVectors

CAPTIONS = [
    ("b", "a shirt"),
    ("a", "a shirt"),
    ("a", "blue cotton"),
    ("c", "a hat"),
    ("gone", "no image"),
]


def stored(captions=CAPTIONS, labels=("x", "x", None)) -> StoredVectors:
    def vectors(count: int) -> np.ndarray:
        return np.arange(4 * count, dtype=np.float32).reshape(count, 4)

    images = StoredList(["b", "a", "c"], [], list(labels), vectors(3))
    ids, texts = zip(*captions, strict=True) if captions else ((), ())
    return StoredVectors(images, StoredList(list(ids), list(texts), [], vectors(len(ids))))


def answers(task) -> dict[str, set[str]]:
    return {
        query: {task.documents.ids[number] for number in relevant}
        for query, relevant in zip(task.query_ids, task.relevant, strict=True)
    }


def test_all_items_of_a_shared_caption_are_relevant_to_it():
    to_image, to_text, among_texts = known_pairs(stored(), 100, 0)
    assert answers(to_image) == {"a shirt": {"a", "b"}, "blue cotton": {"a"}, "a hat": {"c"}}
    assert answers(to_text) == {"a": {"a shirt", "blue cotton"}, "b": {"a shirt"}, "c": {"a hat"}}
    assert answers(among_texts) == {"a shirt": {"blue cotton"}, "blue cotton": {"a shirt"}}
    assert [task.direction for task in (to_image, to_text, among_texts)] == [
        "text_to_image",
        "image_to_text",
        "text_to_text",
    ]


def test_a_query_is_excluded_from_its_ranking_only_in_its_own_list():
    to_image, to_text, among_texts = known_pairs(stored(), 100, 0)
    assert set(to_image.excluded) == set(to_text.excluded) == {-1}
    excluded = [among_texts.documents.ids[number] for number in among_texts.excluded]
    assert excluded == among_texts.query_ids


def test_a_query_has_the_vector_of_its_row():
    data = stored()
    for task, source, ids in zip(
        known_pairs(data, 100, 0),
        (data.texts, data.images, data.texts),
        (data.texts.captions, data.images.item_ids, data.texts.captions),
        strict=True,
    ):
        for query, vector in zip(task.query_ids, task.vectors, strict=True):
            assert (vector == source.vectors[ids.index(query)]).all()


def test_one_caption_per_item_gives_no_pairs_of_texts():
    tasks = known_pairs(stored(CAPTIONS[:2]), 100, 0)
    assert [task.direction for task in tasks] == ["text_to_image", "image_to_text"]
    assert known_pairs(stored([]), 100, 0) == []


def test_images_with_the_same_label_are_relevant_to_each_other():
    [task] = same_label(stored(), 100, 0)
    assert answers(task) == {"a": {"b"}, "b": {"a"}}
    assert same_label(stored(labels=("x", "y", None)), 100, 0) == []


def test_judgements_between_images_keep_their_grades():
    qrels = {"a": {"b": 2, "c": 0, "a": 1, "nobody": 1}, "b": {"c": 0}, "nobody": {"a": 1}}
    [task] = judged_images(stored(), qrels, 100, 0)
    assert task.query_ids == ["a"]
    assert task.relevant == [{task.documents.ids.index("b"): 2}]
    assert judged_images(stored(), {"nobody": {"a": 1}}, 100, 0) == []


@pytest.mark.parametrize("sample", [1, 2])
def test_a_sample_has_the_requested_size_and_depends_on_the_seed_alone(sample):
    [first, *_], [again, *_] = known_pairs(stored(), sample, 3), known_pairs(stored(), sample, 3)
    assert len(first.query_ids) == sample
    assert first.query_ids == again.query_ids
