"""Rerank stages follow their formulas."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_milvus.errors import UsageError
from mm_milvus.filters.condition import Condition
from mm_milvus.filters.match import holds
from mm_milvus.search.hits import Hit
from mm_milvus.search.query import Query
from mm_milvus.search.rerank import (
    Boost,
    Diversity,
    Recency,
    RerankContext,
    parse_rerank,
    stage_name,
)

DAY = 86_400


def hit(item_id: str, score: float, **metadata) -> Hit:
    return Hit(item_id, f"/{item_id}", score, metadata=metadata)


def context(vectors: dict[str, tuple[float, float]] | None = None) -> RerankContext:
    def image_vectors(hits):
        return np.array([vectors[hit.item_id] for hit in hits], dtype=np.float32)

    return RerankContext(Query.of("anything"), image_vectors, list)


def ids(hits) -> list[str]:
    return [hit.item_id for hit in hits]


def test_mmr_lowers_hits_that_are_like_selected_ones():
    hits = [hit("a", 1.0), hit("twin", 0.9), hit("other", 0.5), hit("last", 0.0)]
    vectors = {"a": (1, 0), "twin": (1, 0), "other": (0, 1), "last": (0, 1)}
    ranked = Diversity(0.5)(hits, context(vectors))
    assert ids(ranked) == ["a", "other", "twin", "last"]
    # 0.5 * 1; 0.5 * 0.5; 0.5 * 0.9 - 0.5 * 1; 0 - 0.5 * 1
    assert [hit.score for hit in ranked] == pytest.approx([0.5, 0.25, -0.05, -0.5])
    assert ids(Diversity(1)(hits, context(vectors))) == ids(hits)


@given(st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 359)), max_size=12), st.floats(0, 1))
def test_mmr_keeps_all_hits_best_first(places, relevance):
    hits = [hit(f"i{n}", score) for n, (score, _) in enumerate(places)]
    angles = {f"i{n}": np.radians(angle) for n, (_, angle) in enumerate(places)}
    vectors = {name: (np.cos(angle), np.sin(angle)) for name, angle in angles.items()}
    ranked = Diversity(relevance)(hits, context(vectors))
    assert sorted(ids(ranked)) == sorted(ids(hits))
    scores = [hit.score for hit in ranked]
    assert all(first >= second - 1e-6 for first, second in pairwise(scores))


def test_a_boost_raises_hits_that_meet_its_condition_whatever_the_sign():
    hits = [hit("a", 2.0), hit("b", 1.5, color="red"), hit("c", -1.0), hit("d", -1.5, color="red")]
    ranked = Boost(Condition("color", "=", "red"), 2)(hits, context())
    assert [(hit.item_id, hit.score) for hit in ranked] == [
        ("b", 3.0), ("a", 2.0), ("d", 0.0), ("c", -1.0),
    ]  # fmt: skip


def test_recency_adds_the_score_to_a_new_hit_and_half_of_it_after_the_half_life():
    now = 1000 * DAY
    hits = [
        hit("none", 1.0),
        hit("new", 0.8, added=now),
        hit("old", 0.9, added=now - 10 * DAY),
        hit("text", 0.5, added="1972-09-27T00:00:00Z"),
        hit("odd", 0.4, added="yesterday"),
    ]
    ranked = Recency("added", 10, now=now)(hits, context())
    assert {hit.item_id: hit.score for hit in ranked} == pytest.approx(
        {"none": 1.0, "new": 1.6, "old": 1.35, "text": 1.0, "odd": 0.4}
    )
    assert ids(ranked) == ["new", "old", "none", "text", "odd"]


@pytest.mark.parametrize(
    ("condition", "metadata", "met"),
    [
        (Condition("price", "<", 50), {"price": 49.5}, True),
        (Condition("price", "<", 50), {"price": "49"}, False),
        (Condition("price", "<", 50), {}, False),
        (Condition("price", "!=", 50), {}, True),
        (Condition("on", "=", True), {"on": True}, True),
        (Condition("on", "=", True), {"on": 1}, False),
        (Condition("tags", "has", "sale"), {"tags": ["new", "sale"]}, True),
        (Condition("tags", "has", "sale"), {"tags": "sale"}, False),
        (Condition("size.eu", ">=", 40), {"size": {"eu": 40}}, True),
        (Condition("size.eu", ">=", 40), {"size": 40}, False),
    ],
)
def test_a_condition_holds_in_memory_as_in_the_engines(condition, metadata, met):
    assert holds(condition, metadata) is met


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("exact", "exact"),
        ("mmr", "mmr"),
        ("mmr:0.5", "mmr"),
        ("boost:color=red:1.5", "boost"),
        ('boost:url="http://a":1.5', "boost"),
        ("recency:added:30", "recency"),
    ],
)
def test_a_stage_is_parsed_from_a_text_and_has_a_name(text, name):
    assert stage_name(parse_rerank(text)) == name


@pytest.mark.parametrize(
    "text",
    [
        "best",
        "exact:1",
        "mmr:many",
        "mmr:2",
        "boost:color=red",
        "boost:color=red:0",
        "recency:x:-1",
    ],
)
def test_a_text_that_names_no_stage_is_rejected(text):
    with pytest.raises(UsageError) as error:
        parse_rerank(text)
    assert "\n" not in str(error.value)


def test_any_callable_is_a_stage():
    def upside_down(hits, context):
        del context
        return hits[::-1]

    assert stage_name(upside_down) == "upside_down"
