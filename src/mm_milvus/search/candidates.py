"""Candidates of a query: the union of what all lists found, each item scored in every list."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors
from mm_milvus.choices import MAX_LIMIT
from mm_milvus.search.fusion import SCORE_DECIMALS, Background, Scores
from mm_milvus.search.hits import Timings
from mm_milvus.search.lists import ItemScore, ScoredList, score_order
from mm_milvus.store.collection import Match

T = TypeVar("T")

ItemScores = dict[str, ItemScore]
"""By item_id, the best score of each item in one list."""

CANDIDATES_PER_HIT = 3
MIN_CANDIDATES = 30
"""Several captions of one item, and items of one list only, displace other items: each list is
read deeper than the answer is long. On emoji and clothing nDCG@10 was the same to three decimals
from 30 on (docs/measured/fusion.md)."""

QUERIES_PER_CALL = 64
"""One engine call with many queries costs less than many calls, up to the size of its answer."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The n items that the lists found for a query, sorted by item_id.

    Attributes:
        rows: Per item, one of its rows, to show it.
        captions: Per item, the caption that matches best; None for an item without captions.
        scores: float64 (lists, n); NaN where an item has nothing to be scored in a list, or did
            not have to be scored.
        background: Distribution of all rows' scores per list; None unless it was requested.
    """

    rows: list[Match]
    captions: list[str | None]
    scores: Scores
    background: Background | None

    @property
    def item_ids(self) -> list[str]:
        """The item_ids of the candidates."""
        return [row.item_id for row in self.rows]


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


def candidates_per_list(hits: int) -> int:
    """Return how many rows to read from each list for a number of hits."""
    return min(MAX_LIMIT, max(MIN_CANDIDATES, CANDIDATES_PER_HIT * hits))


def search_lists(
    lists: Sequence[ScoredList],
    vectors: Sequence[Vectors],
    limit: int,
    expression: str,
    pool: ThreadPoolExecutor,
) -> list[list[list[Match]]]:
    """Search all lists in parallel.

    Args:
        lists: The lists to search.
        vectors: Per list the q queries in its vector space: float32 (q, dim).
        limit: Number of rows to read from each list, per query.
        expression: A Milvus boolean expression that rows must meet; empty for all.
        pool: Runs the searches.

    Returns:
        Per list and query the matches, best first.
    """
    calls = [
        partial(scored_list.search, queries, limit, expression)
        for scored_list, queries in zip(lists, vectors, strict=True)
    ]
    return _in_parallel(pool, calls)


def find_candidates(
    lists: Sequence[ScoredList],
    vectors: Sequence[Vectors],
    matches: Sequence[Sequence[Sequence[Match]]],
    *,
    background: bool,
    bound: CompletionBound | None = None,
    pool: ThreadPoolExecutor,
    timings: Timings,
) -> list[Candidates]:
    """Score what each list found in the others.

    Args:
        lists: The lists that were searched.
        vectors: Per list the q queries in its vector space: float32 (q, dim).
        matches: What `search_lists` returned.
        background: Whether the fusion mode needs the distribution of all rows' scores.
        bound: Which candidates must be scored in all lists; None: all of them.
        pool: Runs the lookups.
        timings: Receives the durations of "background" and "complete".

    Returns:
        The candidates of each query.
    """
    queries = range(len(vectors[0]))
    rows = [
        {match.item_id: match for by_query in matches for match in by_query[query]}
        for query in queries
    ]
    scores = [[_best_scores(of_query) for of_query in by_query] for by_query in matches]
    with timings.time("background"):
        backgrounds = _backgrounds(lists, vectors) if background else [None] * len(queries)
    with timings.time("complete"):
        lowest = [[_lowest_score(of_query) for of_query in by_query] for by_query in matches]
        missing = [
            _missing(
                rows[query],
                _column(scores, query),
                _column(lowest, query),
                backgrounds[query],
                bound,
            )
            for query in queries
        ]
        _complete(lists, vectors, [_column(missing, n) for n in range(len(lists))], scores, pool)
    return [_table(rows[query], _column(scores, query), backgrounds[query]) for query in queries]


def rescore(
    candidates: Candidates,
    item_ids: Collection[str],
    lists: Sequence[ScoredList],
    vectors: Sequence[Vectors],
    pool: ThreadPoolExecutor,
) -> Candidates:
    """Score candidates of one query again, from their stored vectors.

    Args:
        candidates: What a search found.
        item_ids: The candidates to keep.
        lists: The lists that were searched.
        vectors: Per list the query in its vector space: float32 (1, dim).
        pool: Runs the lookups.

    Returns:
        The kept candidates with their exact scores.
    """
    rows = {row.item_id: row for row in candidates.rows if row.item_id in item_ids}
    calls = [
        partial(scored_list.score, query, [list(rows)])
        for scored_list, query in zip(lists, vectors, strict=True)
    ]
    scores = [of_query for (of_query,) in _in_parallel(pool, calls)]
    return _table(rows, scores, candidates.background)


def _missing(
    rows: dict[str, Match],
    scores: Sequence[ItemScores],
    lowest: Sequence[float],
    background: Background | None,
    bound: CompletionBound | None,
) -> list[list[str]]:
    """Return, per list, the items that it did not find and in which they must be scored.

    An item that a list did not find scores no more there than the last one that it found. This
    bounds what each candidate can reach, and those that cannot reach the hits are left incomplete:
    the threshold of Fagin, Lotem and Naor (2001), "Optimal aggregation algorithms for middleware".
    """
    item_ids = sorted(rows)
    if bound is not None and len(item_ids) > bound.hits:
        incomplete = _table(rows, scores, background).scores
        least = bound.fuse(incomplete, background)
        most = bound.fuse(
            np.where(np.isnan(incomplete), np.array(lowest)[:, None], incomplete), background
        )
        threshold = np.partition(least, -bound.hits)[-bound.hits]
        reaches = np.round(most, SCORE_DECIMALS) >= np.round(threshold, SCORE_DECIMALS)
        item_ids = [item_ids[n] for n in np.flatnonzero(reaches)]
    return [[item_id for item_id in item_ids if item_id not in in_list] for in_list in scores]


def _complete(
    lists: Sequence[ScoredList],
    vectors: Sequence[Vectors],
    missing: Sequence[Sequence[Sequence[str]]],
    scores: Sequence[Sequence[ItemScores]],
    pool: ThreadPoolExecutor,
) -> None:
    """Add to `scores`, per list and query, those of the items that are missing there."""
    calls = [
        partial(scored_list.score, queries, item_ids)
        for scored_list, queries, item_ids in zip(lists, vectors, missing, strict=True)
    ]
    for by_query, added in zip(scores, _in_parallel(pool, calls), strict=True):
        for of_query, more in zip(by_query, added, strict=True):
            of_query.update(more)


def _backgrounds(lists: Sequence[ScoredList], vectors: Sequence[Vectors]) -> list[Background]:
    """Return the background of each query, over all lists."""
    by_list = [
        scored_list.background(queries) for scored_list, queries in zip(lists, vectors, strict=True)
    ]
    means, deviations = (np.array(part) for part in zip(*by_list, strict=True))
    return [Background(*both) for both in zip(means.T, deviations.T, strict=True)]


def _table(
    rows: dict[str, Match], scores: Sequence[ItemScores], background: Background | None
) -> Candidates:
    """Arrange the scores of one query, per list, in one table sorted by item_id."""
    item_ids = sorted(rows)
    missing: ItemScore = (np.nan, None)
    table = [[in_list.get(item_id, missing) for item_id in item_ids] for in_list in scores]
    captions = [
        next((caption for _, caption in of_item if caption is not None), None)
        for of_item in zip(*table, strict=True)
    ]
    values = np.array([[score for score, _ in in_list] for in_list in table], dtype=np.float64)
    return Candidates([rows[item_id] for item_id in item_ids], captions, values, background)


def _column(table: Sequence[Sequence[T]], number: int) -> list[T]:
    return [row[number] for row in table]


def _lowest_score(matches: Sequence[Match]) -> float:
    return min((match.score for match in matches), default=-1.0)


def _best_scores(matches: Sequence[Match]) -> ItemScores:
    best: ItemScores = {}
    for match in matches:
        score = match.score, match.caption
        if match.item_id not in best or score_order(score) < score_order(best[match.item_id]):
            best[match.item_id] = score
    return best


def _in_parallel(pool: ThreadPoolExecutor, calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run the calls in parallel; the first in this thread, so that no thread only waits."""
    others = [pool.submit(call) for call in calls[1:]]
    return [calls[0](), *(other.result() for other in others)]
