"""Exact nearest neighbours, compared with a plain sort."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mm_milvus.evaluation import nearest as module
from mm_milvus.evaluation.nearest import MISSING, best, nearest, numbers_of, pack, scores_of

SCORES = st.floats(-1, 1).map(lambda score: round(score, 2))


@given(arrays(np.float64, st.integers(1, 30), elements=SCORES), st.integers(1, 40))
def test_the_best_come_first_and_ties_by_number(scores, count):
    keys = best(pack(scores, np.arange(len(scores))), count)
    expected = sorted(range(len(scores)), key=lambda number: (-scores[number], number))[:count]
    assert numbers_of(keys).tolist() == expected
    np.testing.assert_allclose(scores_of(keys), scores[expected])


def test_documents_without_a_score_come_last():
    keys = best(pack(np.array([np.nan, -1.0, np.nan]), np.arange(3)), 3)
    assert numbers_of(keys[:1]).tolist() == [1]
    assert keys[1:].tolist() == [MISSING, MISSING]


def test_the_result_does_not_depend_on_the_size_of_blocks(monkeypatch):
    generator = np.random.default_rng(0)
    # Eighths, whose products are exact in any order of summation.
    vectors = (generator.integers(-3, 4, (300, 8)) / 8).astype(np.float32)
    rows = generator.permutation(300)
    queries = (generator.integers(-3, 4, (40, 8)) / 8).astype(np.float32)
    in_one_block = nearest(queries, vectors, rows, 12)
    monkeypatch.setattr(module, "BLOCK_ROWS", 37)
    monkeypatch.setattr(module, "BLOCK_QUERIES", 7)
    in_blocks = nearest(queries, vectors, rows, 12)
    scores = np.round(queries @ vectors[rows].T, 6)
    for query, (keys, same_keys) in enumerate(zip(in_one_block, in_blocks, strict=True)):
        assert numbers_of(keys).tolist() == numbers_of(same_keys).tolist()
        expected = np.lexsort((np.arange(300), -scores[query]))[:12]
        assert numbers_of(keys).tolist() == expected.tolist()
