"""The known pairs of a data set, as captions give them."""

from __future__ import annotations

import numpy as np
import pytest

from mm_milvus.evaluation.pairs import drawn, judged_images, known_pairs, same_label
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


def test_a_caption_that_items_share_has_all_of_them_as_its_answers():
    to_image, to_text, among_texts = known_pairs(stored(), 100, 0)
    assert answers(to_image) == {"a shirt": {"a", "b"}, "blue cotton": {"a"}, "a hat": {"c"}}
    assert answers(to_text) == {"a": {"a shirt", "blue cotton"}, "b": {"a shirt"}, "c": {"a hat"}}
    assert answers(among_texts) == {"a shirt": {"blue cotton"}, "blue cotton": {"a shirt"}}
    assert [task.direction for task in (to_image, to_text, among_texts)] == [
        "text_to_image",
        "image_to_text",
        "text_to_text",
    ]


def test_only_what_searches_its_own_list_is_to_be_left_out():
    to_image, to_text, among_texts = known_pairs(stored(), 100, 0)
    assert set(to_image.own) == set(to_text.own) == {-1}
    assert [among_texts.documents.ids[own] for own in among_texts.own] == among_texts.query_ids


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


def test_one_caption_an_item_gives_no_pairs_of_texts():
    tasks = known_pairs(stored(CAPTIONS[:2]), 100, 0)
    assert [task.direction for task in tasks] == ["text_to_image", "image_to_text"]
    assert known_pairs(stored([]), 100, 0) == []


def test_images_of_one_label_are_answers_to_each_other():
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
def test_a_sample_has_so_many_queries_and_is_the_same_for_a_seed(sample):
    [first, *_], [again, *_] = known_pairs(stored(), sample, 3), known_pairs(stored(), sample, 3)
    assert len(first.query_ids) == sample
    assert first.query_ids == again.query_ids


def test_all_are_drawn_where_there_are_no_more():
    assert drawn(3, 3, 0) == [0, 1, 2]
    assert len(set(drawn(100, 10, 0))) == 10
