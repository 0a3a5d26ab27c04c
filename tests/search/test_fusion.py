"""Fusion: exact in its formulas, and the same for the same matches in any order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_milvus.search.fusion import FUSION_MODES, fuse, max_score, reciprocal_rank
from mm_milvus.search.hits import ListScore
from mm_milvus.store import Match

scores = st.floats(-1, 1, width=32)
modes = pytest.mark.parametrize("mode", FUSION_MODES)


def match(item_id: str, score: float, caption: str | None = None) -> Match:
    return Match(item_id, f"/{item_id}", score, {"of": item_id}, caption)


def matches(captioned: bool):
    one = st.builds(
        match,
        st.sampled_from("abcdefgh"),
        scores,
        st.sampled_from("xyz") if captioned else st.none(),
    )
    return st.lists(one, max_size=20)


def test_max_takes_the_best_raw_score():
    images = [match("a", 0.3), match("b", 0.25)]
    texts = [match("b", 0.8, "a b"), match("c", 0.6, "a c")]
    hits = fuse(images, texts, max_score)
    assert [(hit.item_id, hit.score) for hit in hits] == [("b", 0.8), ("c", 0.6), ("a", 0.3)]
    assert hits[0].image == ListScore(0.25, 2)
    assert hits[0].text == ListScore(0.8, 1)
    assert hits[0].caption == "a b"
    assert hits[2].text is None
    assert hits[2].caption is None


def test_rrf_sums_reciprocal_ranks():
    images = [match("a", 0.3), match("b", 0.25)]
    texts = [match("b", 0.8, "a b"), match("c", 0.6, "a c")]
    hits = fuse(images, texts, reciprocal_rank)
    assert [hit.item_id for hit in hits] == ["b", "a", "c"]
    assert [hit.score for hit in hits] == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])


def test_equal_scores_share_a_rank_and_the_next_one_counts_them():
    texts = [match("a", 0.9, "x"), match("b", 0.9 - 1e-8, "x"), match("c", 0.5, "y")]
    ranks = {hit.item_id: hit.text.rank for hit in fuse([], texts, max_score)}
    assert ranks == {"a": 1, "b": 1, "c": 3}


def test_the_best_caption_of_an_item_stands_for_it():
    texts = [match("a", 0.4, "far"), match("a", 0.9, "near")]
    [hit] = fuse([], texts, max_score)
    assert (hit.caption, hit.text) == ("near", ListScore(0.9, 1))


def test_ties_are_broken_by_the_other_list_then_by_name():
    images = [match("c", 0.2), match("b", 0.1), match("a", 0.1)]
    texts = [match(name, 0.7, "the same") for name in "cab"]
    assert [hit.item_id for hit in fuse(images, texts, max_score)] == ["c", "a", "b"]


@modes
def test_nothing_found_is_no_hit(mode):
    assert fuse([], [], FUSION_MODES[mode]) == []


@modes
@given(images=matches(captioned=False), texts=matches(captioned=True), data=st.data())
def test_the_order_of_the_matches_does_not_matter(mode, images, texts, data):
    fusion = FUSION_MODES[mode]
    shuffled = data.draw(st.permutations(images)), data.draw(st.permutations(texts))
    assert fuse(*shuffled, fusion) == fuse(images, texts, fusion)


@modes
@given(images=matches(captioned=False), texts=matches(captioned=True))
def test_every_item_comes_once_best_first(mode, images, texts):
    hits = fuse(images, texts, FUSION_MODES[mode])
    assert sorted(hit.item_id for hit in hits) == sorted({m.item_id for m in images + texts})
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(hit.image or hit.text for hit in hits)


@modes
@given(
    image=st.builds(ListScore, scores, st.integers(1, 99)),
    text=st.builds(ListScore, scores, st.integers(1, 99)),
)
def test_being_in_both_lists_is_never_worse_than_in_one(mode, image, text):
    fusion = FUSION_MODES[mode]
    assert fusion((image, text)) >= max(fusion((image, None)), fusion((None, text)))
