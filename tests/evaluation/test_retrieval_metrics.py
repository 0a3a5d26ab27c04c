"""Metrics, compared with values computed by hand."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from mm_milvus.errors import MissingExtraError
from mm_milvus.evaluation.metrics import RANK, index_recall, measure


def measure_one(ranking: list[int], relevant: dict[int, int], cuts: tuple[int, ...] = (1, 2, 4)):
    values = measure([np.array(ranking, dtype=np.int64)], [relevant], cuts)
    return {name: float(value[0]) for name, value in values.items()}


def test_one_relevant_document_at_rank_3():
    values = measure_one([7, 5, 3, 1], {3: 1})
    assert (values["recall@2"], values["recall@4"]) == (0, 1)
    assert (values["precision@2"], values["precision@4"]) == (0, 1 / 4)
    assert values["ndcg@4"] == pytest.approx(1 / math.log2(4))
    assert values["mrr"] == values["map"] == pytest.approx(1 / 3)
    assert values[RANK] == 3


def test_two_of_three_relevant_documents_are_found():
    values = measure_one([3, 7, 5, 1], {3: 1, 5: 1, 9: 1})
    assert values["recall@1"] == pytest.approx(1 / 3)
    assert values["recall@4"] == pytest.approx(2 / 3)
    assert values["success@1"] == 1
    assert values["map"] == pytest.approx((1 / 1 + 2 / 3) / 3)
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert values["ndcg@4"] == pytest.approx((1 + 1 / math.log2(4)) / ideal)


def test_a_grade_is_the_gain():
    values = measure_one([1, 2], {1: 1, 2: 3})
    gain, ideal = 1 + 3 / math.log2(3), 3 + 1 / math.log2(3)
    assert values["ndcg@2"] == pytest.approx(gain / ideal)


def test_a_ranking_without_a_relevant_document_has_the_value_0():
    for ranking in ([], [1, 2, 3]):
        values = measure_one(ranking, {9: 1})
        assert values.pop(RANK) == math.inf
        assert set(values.values()) == {0}


def test_the_order_of_the_ranking_counts_whatever_the_names():
    """trec_eval would order equal scores by the documents' names."""
    assert measure_one([10, 9], {10: 1})["mrr"] == 1
    assert measure_one([9, 10], {9: 1})["mrr"] == 1


def test_values_are_in_the_order_of_the_queries():
    rankings = [np.array([number]) for number in range(12)]
    values = measure(
        rankings, [{number: 1} if number % 2 else {99: 1} for number in range(12)], [1]
    )
    assert values["recall@1"].tolist() == [0, 1] * 6


def test_index_recall_counts_any_of_several_tied_documents():
    exact = [np.array([0.9, 0.5, 0.5])]
    values = index_recall([np.array([0.9, 0.5, 0.1])], exact, (2, 3))
    assert values["index_recall@2"].tolist() == [1]
    assert values["index_recall@3"].tolist() == [pytest.approx(2 / 3)]
    assert index_recall([np.array([])], [np.array([])], (1,))["index_recall@1"].tolist() == [1]


def test_without_the_extra_the_message_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mm-milvus\[eval\]'"):
        measure_one([1], {1: 1})
