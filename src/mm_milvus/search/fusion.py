"""Fuse the scores of several lists into one score per candidate: pure functions over arrays.

A fusion mode turns each candidate's score in each list into a term (`terms`), and combines the
terms of a candidate (`combine`). All modes take the same input: the completed scores of every
candidate in every list, so that a NaN means that the candidate has nothing to be scored there, such
as an item without captions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mm_milvus.choices import FusionName
from mm_milvus.errors import OptionError
from mm_milvus.search.options import check_fusion

Scores = NDArray[np.float64]
"""float64 (lists, n): score of each of n candidates in each list; NaN where it has none."""

SCORE_DECIMALS = 6
"""Equal vectors have scores that are equal to about 1e-7 only, depending on where they lie in an
engine's memory: scores are rounded, so that they tie and rank alike on every engine."""

RRF_K = 60
"""Constant of reciprocal rank fusion, as its authors chose it."""

DBSF_WIDTH = 3
"""Distribution-based fusion spans the mean plus and minus this many standard deviations."""

P = 4
"""Exponent of the p-norm. 1 adds the lists up, so that an uninformative list spoils the other;
infinity takes the best list and ignores the rest. docs/measured/fusion.md has the measurements in
between."""


@dataclass(frozen=True, slots=True)
class Background:
    """Distribution of a query's scores in each list, that single scores are compared with.

    It is that of all rows of a collection, found or not, or that of some candidates.

    Attributes:
        mean: float64 (lists,).
        std: Standard deviation: float64 (lists,).
        lowest: The lowest score: float64 (lists,); 0 for a list without scores.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    lowest: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fusion:
    """A fusion mode.

    Attributes:
        terms: From (scores, background) to terms: (lists, n), without NaN.
        combine: From weighted terms to fused scores: (n,).
        local: Whether a candidate's fused score, given the background of all rows, does not depend
            on the other candidates.
        needs_background: Whether the background is that of all rows, which a search then
            estimates; otherwise it is that of the candidates.
    """

    terms: Callable[[Scores, Background], Scores]
    combine: Callable[[Scores], NDArray[np.float64]]
    local: bool = False
    needs_background: bool = False


def fuse_scores(
    scores: Scores,
    mode: FusionName,
    *,
    weights: Sequence[float] | None = None,
    background: Background | None = None,
) -> NDArray[np.float64]:
    """Fuse the scores of n candidates.

    Args:
        scores: Score of each candidate in each list: (lists, n), NaN where it has none.
        mode: One of `FUSION_MODES`.
        weights: Weight of each list, 0 or more; None: all equal.
        background: What scores are compared with; None: the distribution of these candidates.

    Returns:
        The fused scores: float64 (n,).

    Raises:
        OptionError: For an unknown mode, or weights that are negative or all 0.
    """
    terms = weighted_terms(scores, mode, weights, background)
    has_weight = _shares(weights, len(scores)) > 0
    return fusion_mode(mode).combine(terms[has_weight])


def weighted_terms(
    scores: Scores,
    mode: FusionName,
    weights: Sequence[float] | None = None,
    background: Background | None = None,
) -> Scores:
    """Return each list's contribution to each fused score: float64 (lists, n)."""
    share = _shares(weights, len(scores))
    rounded = _rounded(scores)
    terms: Scores = share[:, None] * fusion_mode(mode).terms(
        rounded, background or background_of(rounded)
    )
    return terms


def background_of(scores: Scores) -> Background:
    """Return the distribution of candidates' scores, (lists, n), in each list."""
    rounded = _rounded(scores)
    scored = ~np.isnan(rounded)
    count = np.maximum(scored.sum(axis=1), 1)
    mean = np.where(scored, rounded, 0).sum(axis=1) / count
    spread = np.where(scored, rounded - mean[:, None], 0)
    lowest = np.where(scored, rounded, np.inf).min(axis=1, initial=np.inf)
    return Background(
        mean,
        np.sqrt((spread**2).sum(axis=1) / count),
        np.where(np.isinf(lowest), 0.0, lowest),
    )


def fusion_mode(name: FusionName) -> Fusion:
    """Return the fusion mode of a name; raise OptionError for an unknown one."""
    check_fusion(name)
    return FUSION_MODES[name]


def ranks(scores: Scores) -> NDArray[np.int64]:
    """Return the rank of each candidate in each list: int64 (lists, n), from 1.

    Equal scores share a rank, and NaN comes last.
    """
    result = np.empty(scores.shape, dtype=np.int64)
    for negated, row_ranks in zip(-scores, result, strict=True):
        # NaN sorts last, after every score, and searchsorted finds it there.
        row_ranks[:] = np.searchsorted(np.sort(negated), negated) + 1
    return result


def rank_order(
    fused: NDArray[np.float64], scores: Scores, item_ids: Sequence[str]
) -> NDArray[np.int64]:
    """Return the candidates' numbers, best first: int64 (n,).

    Equal fused scores are ordered by the sum of the lists' scores, then by item_id, so that the
    order never depends on the engine.
    """
    total = np.round(np.nansum(scores, axis=0), SCORE_DECIMALS)
    return np.lexsort((np.asarray(item_ids), -total, -np.round(fused, SCORE_DECIMALS)))


def _rounded(scores: Scores) -> Scores:
    rounded: Scores = np.asarray(scores, dtype=np.float64).round(SCORE_DECIMALS)
    return rounded


def _raw(scores: Scores, _background: Background) -> Scores:
    """s_i; -1, the lowest inner product of unit vectors, where there is no score."""
    return np.where(np.isnan(scores), -1.0, scores)


def _filled(scores: Scores, background: Background) -> Scores:
    """s_i, at least the lowest_i; that one where there is none: to have a score never harms."""
    lowest = background.lowest[:, None]
    return np.where(np.isnan(scores), lowest, np.maximum(scores, lowest))


def _reciprocal_ranks(scores: Scores, _background: Background) -> Scores:
    """1 / (60 + rank_i); 0 where there is no score."""
    return np.where(np.isnan(scores), 0.0, 1 / (RRF_K + ranks(scores)))


def _standardised(scores: Scores, background: Background) -> Scores:
    """(s_i - mean_i) / std_i."""
    return _z(_filled(scores, background), background)


def _spanned(scores: Scores, background: Background) -> Scores:
    """s_i scaled from 0 at mean_i - 3 std_i to 1 at mean_i + 3 std_i, clipped."""
    z = _standardised(scores, background)
    return np.clip((z + DBSF_WIDTH) / (2 * DBSF_WIDTH), 0, 1)


def _excess(scores: Scores, background: Background) -> Scores:
    """max(0, (s_i - mean_i) / std_i); 0 where there is no score."""
    z = _z(scores, background)
    return np.where(np.isnan(z), 0.0, np.maximum(z, 0.0))


def _z(scores: Scores, background: Background) -> Scores:
    """Standard scores; 0 in a list whose scores are all equal."""
    varies = background.std > 10.0**-SCORE_DECIMALS
    std = np.where(varies, background.std, 1.0)
    z: Scores = (scores - background.mean[:, None]) / std[:, None]
    return np.where(varies[:, None] | np.isnan(z), z, 0.0)


def _best(terms: Scores) -> NDArray[np.float64]:
    best: NDArray[np.float64] = terms.max(axis=0)
    return best


def _sum(terms: Scores) -> NDArray[np.float64]:
    total: NDArray[np.float64] = terms.sum(axis=0)
    return total


def _norm(terms: Scores) -> NDArray[np.float64]:
    return np.asarray(_sum(terms**P) ** (1 / P))


def _shares(weights: Sequence[float] | None, lists: int) -> NDArray[np.float64]:
    """Scale the weights to a mean of 1: with equal ones, each mode is its formula."""
    if weights is None:
        return np.ones(lists)
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (lists,):
        raise OptionError(f"{values.size} fusion weights for {lists} lists; give one for each")
    if not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise OptionError(
            f"the fusion weights {', '.join(map(str, weights))} make no sense: "
            "they are 0 or more, and not all 0"
        )
    shares: NDArray[np.float64] = values * (lists / values.sum())
    return shares


FUSION_MODES: Mapping[FusionName, Fusion] = {
    "pnorm": Fusion(_excess, _norm, local=True, needs_background=True),
    "max": Fusion(_raw, _best, local=True),
    "weighted": Fusion(_filled, _sum),
    "rrf": Fusion(_reciprocal_ranks, _sum),
    "zscore": Fusion(_standardised, _sum),
    "dbsf": Fusion(_spanned, _sum),
}
"""The fusion modes, with s_i the score in list i, rank_i its rank from 1, and w_i the weight:

- pnorm: (sum_i (w_i max(0, z_i))^4)^(1/4), z_i = (s_i - mean_i) / std_i, with mean and deviation of
  the whole collection's scores for the query, from a sample of its rows. It measures how far above
  the noise of its list an item stands: lists of any scale can be compared, an uninformative list
  has no influence, and a missing caption costs nothing. The p-norm is that of the extended Boolean
  OR (Salton, Fox and Wu 1983, "Extended Boolean information retrieval").
- max: max_i w_i s_i, the usual merge (CombMAX of Fox and Shaw 1994, "Combination of multiple
  searches"); with a model of two modalities whose scores differ in scale, one list wins.
- weighted: sum_i w_i s_i (CombSUM, same source). Here and in the two last modes a missing score,
  and one below the lowest of the background, is that lowest one.
- rrf: sum_i w_i / (60 + rank_i) (Cormack, Clarke and Büttcher 2009, "Reciprocal rank fusion
  outperforms Condorcet and individual rank learning methods").
- zscore: sum_i w_i z_i, with mean and deviation of candidates (Montague and Aslam 2001,
  "Relevance score normalization for metasearch").
- dbsf: sum_i w_i d_i, d_i from 0 at three deviations below the mean of candidates to 1 at three
  above, clipped (distribution-based score fusion).
"""
