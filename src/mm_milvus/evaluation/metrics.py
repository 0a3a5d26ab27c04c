"""What rankings are worth, query by query.

All but the median rank and the index's recall come from ir-measures, which asks trec_eval.

    recall@k      the share of the relevant documents among the first k
    success@k     1 where any relevant document is among the first k: what papers on CLIP call
                  recall@k, where a picture has several captions
    precision@k   the share of relevant documents among the first k
    ndcg@k        discounted cumulative gain by the best possible one, the grade being the gain
                  (Järvelin and Kekäläinen, 2002; trec_eval's form)
    mrr           1 / the rank of the first relevant document
    map           the mean of the precision at each relevant document; one not found counts 0
    median_rank   of the first relevant document
    index_recall@k  of the k exact nearest, the share that the index found
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from mm_milvus.errors import MmMilvusError

Values = NDArray[np.float64]
"""A metric's values, one a query: (n,)."""

Grades = Mapping[int, int]
"""The relevant documents of a query, by number, and how relevant each is: 1 or more."""

RANK = "rank"
"""Of the first relevant document, from 1; infinite where the list ends before."""

MEDIAN_RANK = "median_rank"

TIE = 1.5e-6
"""Scores of two engines that differ by less are equal: each rounds to six decimals."""


def library() -> ModuleType:
    """ir-measures; `MmMilvusError` where the extra `eval` is not installed."""
    try:
        return import_module("ir_measures")
    except ImportError as error:
        raise MmMilvusError(
            "ir-measures is not installed, which computes the metrics; "
            "pip install 'mm-milvus[eval]'"
        ) from error


def measure(
    rankings: Sequence[NDArray[np.int64]], relevant: Sequence[Grades], cuts: Sequence[int]
) -> dict[str, Values]:
    """Each metric's values, one a query, and `RANK`.

    rankings  for each query the numbers of its documents, best first
    relevant  for each query its relevant documents, one at least
    cuts      the k of the metrics that have one

    Raises `MmMilvusError` where the extra `eval` is not installed.
    """
    ir_measures = library()
    wanted = _measures(cuts)
    qrels = {
        str(query): {str(document): grade for document, grade in grades.items()}
        for query, grades in enumerate(relevant)
    }
    # trec_eval orders equal scores by itself: each place gets a score of its own.
    run = {
        str(query): {str(document): -float(place) for place, document in enumerate(ranking)}
        for query, ranking in enumerate(rankings)
    }
    measures = {ir_measures.parse_measure(name): key for key, name in wanted.items()}
    values = {key: np.zeros(len(relevant)) for key in wanted}
    for found in ir_measures.iter_calc(list(measures), qrels, run):
        values[measures[found.measure]][int(found.query_id)] = found.value
    ranks = [_first(ranking, grades) for ranking, grades in zip(rankings, relevant, strict=True)]
    return {**values, RANK: np.array(ranks, dtype=np.float64)}


def index_recall(
    found: Sequence[NDArray[np.float64]], exact: Sequence[NDArray[np.float64]], cuts: Sequence[int]
) -> dict[str, Values]:
    """Of the k exact nearest, the share that the index found, as ANN benchmarks count it.

    found, exact  for each query the scores of its documents, best first

    A document as near as the k-th nearest counts, whichever of several it is.
    """
    return {
        f"index_recall@{k}": np.array(
            [_overlap(f[:k], e[:k]) for f, e in zip(found, exact, strict=True)]
        )
        for k in cuts
    }


def shared(
    found: Sequence[NDArray[np.int64]], exact: Sequence[NDArray[np.int64]], cuts: Sequence[int]
) -> dict[str, Values]:
    """The same of fused rankings, whose scores depend on what else was found: by document."""
    return {
        f"index_recall@{k}": np.array(
            [
                len(np.intersect1d(f[:k], e[:k])) / len(e[:k]) if len(e) else 1.0
                for f, e in zip(found, exact, strict=True)
            ]
        )
        for k in cuts
    }


def _overlap(found: NDArray[np.float64], exact: NDArray[np.float64]) -> float:
    if not len(exact):
        return 1.0
    return float((found >= exact[-1] - TIE).sum()) / len(exact)


def _measures(cuts: Sequence[int]) -> dict[str, str]:
    """Our names, and those of ir-measures."""
    return {
        f"{ours}@{k}": f"{theirs}@{k}"
        for ours, theirs in (
            ("recall", "R"),
            ("success", "Success"),
            ("precision", "P"),
            ("ndcg", "nDCG"),
        )
        for k in cuts
    } | {"mrr": "RR", "map": "AP"}


def _first(ranking: NDArray[np.int64], grades: Grades) -> float:
    return next(
        (place for place, document in enumerate(ranking.tolist(), 1) if document in grades),
        math.inf,
    )
