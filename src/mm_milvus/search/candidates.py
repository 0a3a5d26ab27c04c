"""Candidates of a query: the union of what all lists found, each item scored in every list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors
from mm_milvus.search.fusion import SCORE_DECIMALS, Background, Scores
from mm_milvus.search.hits import Timings
from mm_milvus.search.lists import Found, ItemScore, ItemScores, KnownRows, ScoredList

T = TypeVar("T")

QUERIES_PER_CALL = 64
"""One engine call with many queries costs less than many calls, up to the size of its answer."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The n items that the lists found for a query, sorted by item_id.

    Attributes:
        item_ids: Their item_ids.
        captions: Per item, the primary key of the caption that matches best; None for an item
            without captions.
        scores: float64 (lists, n); NaN where an item has nothing to be scored in a list, or did
            not have to be scored.
        background: Distribution of all rows' scores per list; None unless it was requested.
        ended: Whether all lists ended: there are no other items.
    """

    item_ids: list[str]
    captions: list[str | None]
    scores: Scores
    background: Background | None
    ended: bool


@dataclass(frozen=True, slots=True)
class CompletionBound:
    """A bound on what must be scored in all lists: candidates that cannot become hits are not.

    It holds for fusion modes that are `local` only: a candidate's fused score does not depend on
    the other candidates.

    Attributes:
        hits: Number of best candidates that become hits.
        fuse: From (scores, background) to fused scores, by a `local` mode.
    """

    hits: int
    fuse: Callable[[Scores, Background | None], NDArray[np.float64]]


def search_lists(
    lists: Sequence[ScoredList],
    vectors: Sequence[Vectors],
    items: int,
    expression: str,
    known: KnownRows,
    pool: ThreadPoolExecutor,
) -> list[list[Found]]:
    """Search all lists in parallel.

    Args:
        lists: The lists to search.
        vectors: Per list the q queries in its vector space: float32 (q, dim).
        items: Number of items to find in each list, per query.
        expression: A Milvus boolean expression that rows must meet; empty for all.
        known: Receives rows that are read on the way.
        pool: Runs the searches.

    Returns:
        Per list and query the best items.
    """
    calls = [
        partial(scored_list.search, queries, items, expression, known)
        for scored_list, queries in zip(lists, vectors, strict=True)
    ]
    return in_parallel(pool, calls)


def find_candidates(
    lists: Sequence[ScoredList],
    vectors: Sequence[Vectors],
    found: Sequence[Sequence[Found]],
    *,
    background: bool,
    bounds: Sequence[CompletionBound | None],
    known: KnownRows | None,
    pool: ThreadPoolExecutor,
    timings: Timings,
) -> list[Candidates]:
    """Score what each list found in the others.

    Args:
        lists: The lists that were searched.
        vectors: Per list the q queries in its vector space: float32 (q, dim).
        found: What `search_lists` returned.
        background: Whether the fusion mode needs the distribution of all rows' scores.
        bounds: Per query, which candidates must be scored in all lists; None: all of them.
        known: Receives captions that are read on the way.
        pool: Runs the lookups.
        timings: Receives the durations of "background" and "complete".

    Returns:
        The candidates of each query.
    """
    queries = range(len(vectors[0]))
    by_query = [[in_list[query] for in_list in found] for query in queries]
    scores = [[dict(in_list.scores) for in_list in of_query] for of_query in by_query]
    with timings.time("background"):
        backgrounds = _backgrounds(lists, vectors) if background else [None] * len(queries)
    with timings.time("complete"):
        missing = [
            _missing(by_query[query], backgrounds[query], bounds[query]) for query in queries
        ]
        wanted = [[of_query[n] for of_query in missing] for n in range(len(lists))]
        calls = [
            partial(scored_list.score, of_list, item_ids, known)
            for scored_list, of_list, item_ids in zip(lists, vectors, wanted, strict=True)
        ]
        for n, added in enumerate(in_parallel(pool, calls)):
            for of_query, more in zip(scores, added, strict=True):
                of_query[n].update(more)
    return [
        _table(scores[query], backgrounds[query], ended=all(part.ended for part in by_query[query]))
        for query in queries
    ]


def rescore(
    item_ids: Sequence[str],
    lists: Sequence[ScoredList],
    vectors: Sequence[Vectors],
    background: Background | None,
    known: KnownRows,
    pool: ThreadPoolExecutor,
) -> Candidates:
    """Score items for one query by their stored vectors.

    Args:
        item_ids: The items; those that are no longer stored are left out.
        lists: The lists that were searched.
        vectors: Per list the query in its vector space: float32 (1, dim).
        background: As in `Candidates`.
        known: Receives captions that are read on the way.
        pool: Runs the lookups.
    """
    calls = [
        partial(scored_list.score, query, [item_ids], known)
        for scored_list, query in zip(lists, vectors, strict=True)
    ]
    scores = [of_query for (of_query,) in in_parallel(pool, calls)]
    return _table(scores, background, ended=False)


def in_parallel(pool: ThreadPoolExecutor, calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run the calls in parallel; the first in this thread, so that no thread only waits."""
    others = [pool.submit(call) for call in calls[1:]]
    return [calls[0](), *(other.result() for other in others)]


def _missing(
    found: Sequence[Found], background: Background | None, bound: CompletionBound | None
) -> list[list[str]]:
    """Return, per list, the items that it did not find and in which they must be scored.

    An item that a list did not find scores no more there than the last one that it found, and
    nothing where the list ended. This bounds what each candidate can reach, and those that cannot
    reach the hits are left incomplete: the threshold of Fagin, Lotem and Naor (2001), "Optimal
    aggregation algorithms for middleware".
    """
    candidates = _table([in_list.scores for in_list in found], background, ended=False)
    item_ids = candidates.item_ids
    if bound is not None and len(item_ids) > bound.hits:
        incomplete = candidates.scores
        lowest = np.array([in_list.lowest for in_list in found])
        least = bound.fuse(incomplete, background)
        most = bound.fuse(np.where(np.isnan(incomplete), lowest[:, None], incomplete), background)
        threshold = np.partition(least, -bound.hits)[-bound.hits]
        reaches = np.round(most, SCORE_DECIMALS) >= np.round(threshold, SCORE_DECIMALS)
        item_ids = [item_ids[n] for n in np.flatnonzero(reaches)]
    return [
        [] if in_list.ended else [item_id for item_id in item_ids if item_id not in in_list.scores]
        for in_list in found
    ]


def _backgrounds(lists: Sequence[ScoredList], vectors: Sequence[Vectors]) -> list[Background]:
    """Return the background of each query, over all lists."""
    by_list = [
        scored_list.background(queries) for scored_list, queries in zip(lists, vectors, strict=True)
    ]
    means, deviations = (np.array(part) for part in zip(*by_list, strict=True))
    lowest = np.full(len(lists), -1.0)
    return [Background(*both, lowest) for both in zip(means.T, deviations.T, strict=True)]


def _table(
    scores: Sequence[ItemScores], background: Background | None, *, ended: bool
) -> Candidates:
    """Arrange the scores of one query, per list, in one table sorted by item_id."""
    item_ids = sorted({item_id for in_list in scores for item_id in in_list})
    missing: ItemScore = (np.nan, None)
    table = [[in_list.get(item_id, missing) for item_id in item_ids] for in_list in scores]
    captions = [
        next((caption for _, caption in of_item if caption is not None), None)
        for of_item in zip(*table, strict=True)
    ]
    values = np.array([[score for score, _ in in_list] for in_list in table], dtype=np.float64)
    return Candidates(item_ids, captions, values, background, ended)
