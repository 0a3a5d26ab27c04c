"""The exact ranking, against a plain sort."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mm_milvus.evaluation import exact
from mm_milvus.evaluation.exact import NOTHING, best, nearest, numbers_of, pack, scores_of

SCORES = st.floats(-1, 1).map(lambda score: round(score, 2))


@given(arrays(np.float64, st.integers(1, 30), elements=SCORES), st.integers(1, 40))
def test_the_best_come_first_and_ties_by_number(scores, count):
    keys = best(pack(scores, np.arange(len(scores))), count)
    expected = sorted(range(len(scores)), key=lambda number: (-scores[number], number))[:count]
    assert numbers_of(keys).tolist() == expected
    np.testing.assert_allclose(scores_of(keys), scores[expected])


def test_what_has_no_score_comes_last_of_all():
    keys = best(pack(np.array([np.nan, -1.0, np.nan]), np.arange(3)), 3)
    assert numbers_of(keys[:1]).tolist() == [1]
    assert keys[1:].tolist() == [NOTHING, NOTHING]


def test_blocks_change_nothing(monkeypatch):
    generator = np.random.default_rng(0)
    # Eighths, whose products are exact in whatever order they are summed.
    vectors = (generator.integers(-3, 4, (300, 8)) / 8).astype(np.float32)
    rows = generator.permutation(300)
    queries = (generator.integers(-3, 4, (40, 8)) / 8).astype(np.float32)
    whole = nearest(queries, vectors, rows, 12)
    monkeypatch.setattr(exact, "BLOCK_ROWS", 37)
    monkeypatch.setattr(exact, "BLOCK_QUERIES", 7)
    parts = nearest(queries, vectors, rows, 12)
    scores = np.round(queries @ vectors[rows].T, 6)
    for query, (one, other) in enumerate(zip(whole, parts, strict=True)):
        assert numbers_of(one).tolist() == numbers_of(other).tolist()
        expected = np.lexsort((np.arange(300), -scores[query]))[:12]
        assert numbers_of(one).tolist() == expected.tolist()
