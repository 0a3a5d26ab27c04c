"""Metrics of rankings, per query.

All but the median rank and the index recall are computed by ir-measures, which uses trec_eval.

    recall@k      share of the relevant documents that are among the first k
    success@k     1 where any relevant document is among the first k: papers on CLIP call it
                  recall@k, where an image has several captions
    precision@k   share of the first k that is relevant
    ndcg@k        discounted cumulative gain, relative to the best possible one, with the grade as
                  the gain (Järvelin and Kekäläinen, 2002; trec_eval's form)
    mrr           1 / rank of the first relevant document
    map           mean of the precision at each relevant document; one not found counts as 0
    median_rank   median rank of the first relevant document
    index_recall@k  share of the k exact nearest documents that the index found
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mm_milvus.extras import require_extra

Values = NDArray[np.float64]
"""Values of a metric, one per query: float64 (n,)."""

Grades = Mapping[int, int]
"""Relevant documents of a query, by number, with their grades: 1 or more."""

RANK = "rank"
"""Rank of the first relevant document, from 1; infinite where the ranking ends before it."""

MEDIAN_RANK = "median_rank"

TIE = 1.5e-6
"""Scores of two engines that differ by less are equal: each rounds to six decimals."""


def require_metrics() -> None:
    """Check that ir-measures is installed; raise MissingExtraError."""
    require_extra("eval", "ir_measures", "the evaluation")


def measure(
    rankings: Sequence[NDArray[np.int64]], relevant: Sequence[Grades], cuts: Sequence[int]
) -> dict[str, Values]:
    """Compute all metrics but the index recall, and `RANK`, per query.

    Args:
        rankings: Per query the numbers of its documents, best first.
        relevant: Per query its relevant documents, at least one.
        cuts: Cut-offs k of the metrics that have one.

    Returns:
        Per metric its values, in the order of the queries.

    Raises:
        MissingExtraError: When the extra `eval` is not installed.
    """
    require_metrics()
    import ir_measures

    names = _measure_names(cuts)
    qrels = {
        str(query): {str(document): grade for document, grade in grades.items()}
        for query, grades in enumerate(relevant)
    }
    # trec_eval orders equal scores in its own way: each place gets a score of its own.
    run = {
        str(query): {str(document): -float(place) for place, document in enumerate(ranking)}
        for query, ranking in enumerate(rankings)
    }
    measures = {ir_measures.parse_measure(name): key for key, name in names.items()}
    values = {key: np.zeros(len(relevant)) for key in names}
    for result in ir_measures.iter_calc(list(measures), qrels, run):
        values[measures[result.measure]][int(result.query_id)] = result.value
    ranks = [_rank(ranking, grades) for ranking, grades in zip(rankings, relevant, strict=True)]
    return {**values, RANK: np.array(ranks, dtype=np.float64)}


def index_recall(
    found: Sequence[NDArray[np.float64]], exact: Sequence[NDArray[np.float64]], cuts: Sequence[int]
) -> dict[str, Values]:
    """Compute the index recall by scores, as benchmarks of nearest-neighbour indexes do.

    A document counts if it is as near as the k-th nearest one, whichever of several it is.

    Args:
        found: Per query the scores of the documents that the index found, best first.
        exact: Per query the scores of the exact nearest documents, best first.
        cuts: Cut-offs k.
    """
    return {
        f"index_recall@{k}": np.array(
            [_recall(f[:k], e[:k]) for f, e in zip(found, exact, strict=True)]
        )
        for k in cuts
    }


def index_recall_by_document(
    found: Sequence[NDArray[np.int64]], exact: Sequence[NDArray[np.int64]], cuts: Sequence[int]
) -> dict[str, Values]:
    """Compute the index recall of fused rankings, whose scores depend on the other candidates.

    Args:
        found: Per query the documents of the search through the index, best first.
        exact: Per query the documents of the exact search, best first.
        cuts: Cut-offs k.
    """
    return {
        f"index_recall@{k}": np.array(
            [
                len(np.intersect1d(f[:k], e[:k])) / len(e[:k]) if len(e) else 1.0
                for f, e in zip(found, exact, strict=True)
            ]
        )
        for k in cuts
    }


def _recall(found: NDArray[np.float64], exact: NDArray[np.float64]) -> float:
    if not len(exact):
        return 1.0
    return float((found >= exact[-1] - TIE).sum()) / len(exact)


def _measure_names(cuts: Sequence[int]) -> dict[str, str]:
    """Return our names of the metrics, with those of ir-measures."""
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


def _rank(ranking: NDArray[np.int64], grades: Grades) -> float:
    return next(
        (rank for rank, document in enumerate(ranking.tolist(), 1) if document in grades),
        math.inf,
    )
