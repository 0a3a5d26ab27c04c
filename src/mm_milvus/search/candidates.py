"""What may become a hit: the union of all lists, completed: each scored in every one of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mm_milvus.search.fusion import SCORE_DECIMALS, Background, Scores
from mm_milvus.search.lists import Best, ScoredList, best_first
from mm_milvus.search.timing import Timings
from mm_milvus.store.match import Match

T = TypeVar("T")

Scored = dict[str, Best]


@dataclass(frozen=True, slots=True)
class Candidates:
    """The n items that a query found, in the order of their item_ids.

    rows        for each, a row of it: what there is to show
    captions    for each, the caption that matches best; None for an item without any
    scores      float64 (lists, n); NaN where an item has nothing to be scored, or need not be
    background  how all rows of each list's collection score, if it was asked for
    """

    rows: list[Match]
    captions: list[str | None]
    scores: Scores
    background: Background | None

    @property
    def item_ids(self) -> list[str]:
        """The item_id of each."""
        return [row.item_id for row in self.rows]


@dataclass(frozen=True, slots=True)
class CompletionBound:
    """What is at stake between candidates, where a fused score is theirs alone.

    places  how many of the best will be hits
    fuse    (scores, background) to fused scores, by a `local` mode
    """

    places: int
    fuse: Callable[[Scores, Background | None], NDArray[np.float64]]


def find_candidates(
    lists: Sequence[ScoredList],
    vectors: Sequence[NDArray[np.float32]],
    limit: int,
    expression: str,
    *,
    background: bool,
    contest: CompletionBound | None = None,
    pool: ThreadPoolExecutor,
    stages: Timings,
) -> list[Candidates]:
    """For each of q queries its candidates; the lists are searched all at the same time.

    vectors     for each list the queries in its space, float32 (q, dim)
    limit       how deep each list is read
    expression  what a row must meet, as Milvus has it
    background  whether the fusion asks for it
    contest     what a candidate must be able to reach, to be completed; None: all are
    """
    with stages.time("search"):
        found = _at_once(
            pool,
            [
                partial(one.search, asked, limit, expression)
                for one, asked in zip(lists, vectors, strict=True)
            ],
        )
    queries = range(len(vectors[0]))
    rows = [{row.item_id: row for each in found for row in each[query]} for query in queries]
    scored = [[_best(matches) for matches in each] for each in found]
    with stages.time("background"):
        known = _background(lists, vectors) if background else [None] * len(queries)
    with stages.time("complete"):
        lowest = [[_lowest(matches) for matches in each] for each in found]
        missing = [
            _missing(rows[query], _of(scored, query), _of(lowest, query), known[query], contest)
            for query in queries
        ]
        _complete(lists, vectors, [_of(missing, n) for n in range(len(lists))], scored, pool)
    return [_table(rows[query], _of(scored, query), known[query]) for query in queries]


def rescore(
    candidates: Candidates,
    wanted: Collection[str],
    lists: Sequence[ScoredList],
    vectors: Sequence[NDArray[np.float32]],
    pool: ThreadPoolExecutor,
) -> Candidates:
    """The wanted ones of the candidates, with scores from their stored vectors alone."""
    rows = {row.item_id: row for row in candidates.rows if row.item_id in wanted}
    calls = [
        partial(one.score, asked, [list(rows)]) for one, asked in zip(lists, vectors, strict=True)
    ]
    scored = [best for (best,) in _at_once(pool, calls)]
    return _table(rows, scored, candidates.background)


def _missing(
    rows: dict[str, Match],
    scored: Sequence[Scored],
    lowest: Sequence[float],
    background: Background | None,
    contest: CompletionBound | None,
) -> list[list[str]]:
    """For each list the items to be scored in it, which only other lists found.

    What a list did not find scores no more there than the last that it found. So there is a bound
    to what each candidate can reach, and those that cannot reach the hits need not be looked at:
    the threshold of Fagin, Lotem and Naor (2001), "Optimal aggregation algorithms for middleware".
    """
    item_ids = sorted(rows)
    if contest is not None and len(item_ids) > contest.places:
        scores = _table(rows, scored, background).scores
        least = contest.fuse(scores, background)
        most = contest.fuse(
            np.where(np.isnan(scores), np.array(lowest)[:, None], scores), background
        )
        threshold = np.partition(least, -contest.places)[-contest.places]
        reaches = np.round(most, SCORE_DECIMALS) >= np.round(threshold, SCORE_DECIMALS)
        item_ids = [item_ids[n] for n in np.flatnonzero(reaches)]
    return [[item_id for item_id in item_ids if item_id not in found] for found in scored]


def _complete(
    lists: Sequence[ScoredList],
    vectors: Sequence[NDArray[np.float32]],
    missing: Sequence[Sequence[Sequence[str]]],
    scored: Sequence[Sequence[Scored]],
    pool: ThreadPoolExecutor,
) -> None:
    """Add to each list's scores, for each query, those of the items that are missing there."""
    calls = [
        partial(one.score, asked, items)
        for one, asked, items in zip(lists, vectors, missing, strict=True)
    ]
    for best, completed in zip(scored, _at_once(pool, calls), strict=True):
        for found, more in zip(best, completed, strict=True):
            found.update(more)


def _background(
    lists: Sequence[ScoredList], vectors: Sequence[NDArray[np.float32]]
) -> list[Background]:
    """That of each query."""
    known = [one.background(asked) for one, asked in zip(lists, vectors, strict=True)]
    means, deviations = (np.array(part) for part in zip(*known, strict=True))
    return [Background(*both) for both in zip(means.T, deviations.T, strict=True)]


def _table(
    rows: dict[str, Match], scored: Sequence[Scored], background: Background | None
) -> Candidates:
    item_ids = sorted(rows)
    nothing: Best = (np.nan, None)
    places = [[best.get(item_id, nothing) for item_id in item_ids] for best in scored]
    captions = [
        next((caption for _, caption in own if caption is not None), None)
        for own in zip(*places, strict=True)
    ]
    scores = np.array([[score for score, _ in own] for own in places], dtype=np.float64)
    return Candidates([rows[item_id] for item_id in item_ids], captions, scores, background)


def _of(table: Sequence[Sequence[T]], query: int) -> list[T]:
    return [row[query] for row in table]


def _lowest(matches: Sequence[Match]) -> float:
    return min((match.score for match in matches), default=-1.0)


def _best(matches: Sequence[Match]) -> Scored:
    best: Scored = {}
    for match in matches:
        place = match.score, match.caption
        if match.item_id not in best or best_first(place) < best_first(best[match.item_id]):
            best[match.item_id] = place
    return best


def _at_once(pool: ThreadPoolExecutor, calls: Sequence[Callable[[], T]]) -> list[T]:
    """What the calls give; the first runs in this thread, so that no thread only waits."""
    others = [pool.submit(call) for call in calls[1:]]
    return [calls[0](), *(other.result() for other in others)]
