"""Several lists of scores to one: pure functions over arrays.

A fusion mode says what a candidate's place in each list is worth (`terms`), and how these add up
(`combine`). All modes take the same: the scores of every candidate in every list, completed, so
that a gap means that the candidate has nothing there to be scored, such as an item without a
caption.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mm_milvus.errors import QueryError

Scores = NDArray[np.float64]
"""(lists, n): what each of n candidates scores in each list; NaN where it has nothing there."""

SCORE_DECIMALS = 6
"""Equal vectors score alike to about 1e-7 only, by where they lie in an engine's memory: scores
are rounded, so that they tie and rank alike on every engine."""

RRF_K = 60
"""The constant of reciprocal rank fusion, as its authors chose it."""

DBSF_WIDTH = 3
"""Distribution-based fusion spans the mean plus and minus so many standard deviations."""

P = 4
"""Of the p-norm. 1 adds the lists up, and one that knows nothing spoils the other; infinity takes
the best and lets the rest go to waste. docs/measured/fusion.md has what was measured between."""


@dataclass(frozen=True, slots=True)
class Background:
    """How the rows of a list's collection score for a query, whether found or not.

    mean, std  (lists,)
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fusion:
    """A fusion mode.

    terms    (scores, background) to what each place is worth, (lists, n), without NaN
    combine  terms, weighted, to the fused scores (n,)
    local    whether a candidate's fused score does not depend on the other candidates, given the
             background
    """

    terms: Callable[[Scores, Background | None], Scores]
    combine: Callable[[Scores], NDArray[np.float64]]
    local: bool = False


def fuse_scores(
    scores: Scores,
    mode: str,
    *,
    weights: Sequence[float] | None = None,
    background: Background | None = None,
) -> NDArray[np.float64]:
    """The fused scores of n candidates, float64 (n,).

    scores      (lists, n), each list's own scores, NaN for nothing there
    mode        one of `FUSION_MODES`
    weights     of the lists, not negative; None: all alike
    background  for `pnorm`; None: the candidates stand for their collections

    Raises `QueryError` for an unknown mode or weights that make no sense.
    """
    terms = weighted_terms(scores, mode, weights, background)
    heard = _shares(weights, len(scores)) > 0
    return fusion_mode(mode).combine(terms[heard])


def weighted_terms(
    scores: Scores,
    mode: str,
    weights: Sequence[float] | None = None,
    background: Background | None = None,
) -> Scores:
    """What each candidate's place in each list adds to its fused score: float64 (lists, n)."""
    share = _shares(weights, len(scores))
    rounded: Scores = np.asarray(scores, dtype=np.float64).round(SCORE_DECIMALS)
    terms: Scores = share[:, None] * fusion_mode(mode).terms(rounded, background)
    return terms


def fusion_mode(name: str) -> Fusion:
    """The mode of that name; `QueryError` when there is none."""
    try:
        return FUSION_MODES[name]
    except KeyError:
        raise QueryError(
            f"unknown fusion {name!r}: the modes are {', '.join(FUSION_MODES)}"
        ) from None


def ranks(scores: Scores) -> NDArray[np.int64]:
    """For each list the rank of each candidate, from 1; equal scores share one, NaN comes last."""
    found = np.empty(scores.shape, dtype=np.int64)
    for row, ranked in zip(-scores, found, strict=True):
        # NaN sorts last, after every score, and is found there.
        ranked[:] = np.searchsorted(np.sort(row), row) + 1
    return found


def _raw(scores: Scores, _background: Background | None) -> Scores:
    """s_i, and -1, the least inner product of unit vectors, for nothing there."""
    return np.where(np.isnan(scores), -1.0, scores)


def _raw_filled(scores: Scores, _background: Background | None) -> Scores:
    """s_i."""
    return _filled(scores)


def rank_order(
    fused: NDArray[np.float64], scores: Scores, item_ids: Sequence[str]
) -> NDArray[np.int64]:
    """The candidates' places in the ranking, best first: (n,).

    Equal fused scores are told apart by the sum of their scores, then by item_id, so that the
    order never depends on the engine.
    """
    total = np.round(np.nansum(scores, axis=0), SCORE_DECIMALS)
    return np.lexsort((np.asarray(item_ids), -total, -np.round(fused, SCORE_DECIMALS)))


def _reciprocal_ranks(scores: Scores, _background: Background | None) -> Scores:
    """1 / (60 + rank_i), and 0 for nothing there."""
    return np.where(np.isnan(scores), 0.0, 1 / (RRF_K + ranks(scores)))


def _standardised(scores: Scores, _background: Background | None) -> Scores:
    """(s_i - mean_i) / std_i over the candidates."""
    return _filled(_z(scores, _of_candidates(scores)))


def _spanned(scores: Scores, _background: Background | None) -> Scores:
    """s_i from 0 at mean_i - 3 std_i to 1 at mean_i + 3 std_i over the candidates, cut there."""
    z = _z(scores, _of_candidates(scores))
    return _filled(np.clip((z + DBSF_WIDTH) / (2 * DBSF_WIDTH), 0, 1))


def _excess(scores: Scores, background: Background | None) -> Scores:
    """max(0, (s_i - mean_i) / std_i) over the whole collection, and 0 for nothing there."""
    z = _z(scores, background or _of_candidates(scores))
    return np.where(np.isnan(z), 0.0, np.maximum(z, 0.0))


def _of_candidates(scores: Scores) -> Background:
    known = ~np.isnan(scores)
    count = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, scores, 0).sum(axis=1) / count
    spread = np.where(known, scores - mean[:, None], 0)
    return Background(mean, np.sqrt((spread**2).sum(axis=1) / count))


def _z(scores: Scores, background: Background) -> Scores:
    """Standard scores; 0 in a list whose scores are all alike."""
    varies = background.std > 10.0**-SCORE_DECIMALS
    std = np.where(varies, background.std, 1.0)
    z: Scores = (scores - background.mean[:, None]) / std[:, None]
    return np.where(varies[:, None] | np.isnan(z), z, 0.0)


def _filled(terms: Scores) -> Scores:
    """What has nothing in a list stands as low as the lowest there, so that a place never harms."""
    lowest = np.nanmin(terms, axis=1, initial=np.inf, keepdims=True, where=~np.isnan(terms))
    return np.where(np.isnan(terms), np.where(np.isinf(lowest), 0.0, lowest), terms)


def _best(terms: Scores) -> NDArray[np.float64]:
    best: NDArray[np.float64] = terms.max(axis=0)
    return best


def _sum(terms: Scores) -> NDArray[np.float64]:
    total: NDArray[np.float64] = terms.sum(axis=0)
    return total


def _norm(terms: Scores) -> NDArray[np.float64]:
    return np.asarray(_sum(terms**P) ** (1 / P))


def _shares(weights: Sequence[float] | None, lists: int) -> NDArray[np.float64]:
    """The weights scaled so that their mean is 1: with equal ones, each mode is its formula."""
    if weights is None:
        return np.ones(lists)
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (lists,):
        raise QueryError(f"{given.size} fusion weights for {lists} lists; give one for each")
    if not np.isfinite(given).all() or (given < 0).any() or not given.any():
        raise QueryError(
            f"the fusion weights {', '.join(map(str, weights))} make no sense: "
            "they are 0 or more, and not all 0"
        )
    shares: NDArray[np.float64] = given * (lists / given.sum())
    return shares


FUSION_MODES: Mapping[str, Fusion] = {
    "pnorm": Fusion(_excess, _norm, local=True),
    "max": Fusion(_raw, _best, local=True),
    "weighted": Fusion(_raw_filled, _sum),
    "rrf": Fusion(_reciprocal_ranks, _sum),
    "zscore": Fusion(_standardised, _sum),
    "dbsf": Fusion(_spanned, _sum),
}
"""With s_i the score in list i, rank_i from 1, w_i the weight:

pnorm     (sum_i (w_i max(0, z_i))^4)^(1/4), z_i = (s_i - mean_i) / std_i, mean and deviation of the
          whole collection's scores for the query, from a sample of its rows. How far above the
          noise of its list an item stands: lists of any scale can be compared, one that knows
          nothing has no say, and a missing caption costs nothing. The p-norm is that of the
          extended Boolean OR (Salton, Fox and Wu 1983, "Extended Boolean information retrieval").
max       max_i w_i s_i: the usual merge (CombMAX of Fox and Shaw 1994, "Combination of multiple
          searches"); with a model of two modalities whose scores differ in scale, one list wins
weighted  sum_i w_i s_i (CombSUM, there as well)
rrf       sum_i w_i / (60 + rank_i) (Cormack, Clarke and Büttcher 2009, "Reciprocal rank fusion
          outperforms Condorcet and individual rank learning methods")
zscore    sum_i w_i z_i, mean and deviation of the candidates (Montague and Aslam 2001, "Relevance
          score normalization for metasearch")
dbsf      sum_i w_i d_i, d_i from 0 at three deviations below the candidates' mean to 1 at three
          above, cut there (distribution-based score fusion)
"""

DEFAULT_FUSION = "pnorm"
