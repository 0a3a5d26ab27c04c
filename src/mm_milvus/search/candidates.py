"""What may become a hit: the union of all lists, each item scored in every one of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mm_milvus.search.fusion import Background, Scores
from mm_milvus.search.lists import Best, ScoredList, best_first
from mm_milvus.search.timing import Stages
from mm_milvus.store import Match

T = TypeVar("T")

Scored = dict[str, Best]


@dataclass(frozen=True, slots=True)
class Candidates:
    """The n items that a query found, in the order of their item_ids.

    rows        for each, a row of it: what there is to show
    captions    for each, the caption that matches best; None for an item without any
    scores      float64 (lists, n); NaN where an item has nothing to be scored
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


def find_candidates(
    lists: Sequence[ScoredList],
    vectors: Sequence[NDArray[np.float32]],
    limit: int,
    expression: str,
    *,
    background: bool,
    pool: ThreadPoolExecutor,
    stages: Stages,
) -> list[Candidates]:
    """For each of q queries its candidates; the lists are searched all at the same time.

    vectors     for each list the queries in its space, float32 (q, dim)
    limit       how deep each list is read
    expression  what a row must meet, as Milvus has it
    background  whether the fusion asks for it
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
    with stages.time("complete"):
        _complete(lists, vectors, rows, scored, pool)
    with stages.time("background"):
        known = _background(lists, vectors) if background else [None] * len(queries)
    return [
        _table(rows[query], [best[query] for best in scored], known[query]) for query in queries
    ]


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


def _complete(
    lists: Sequence[ScoredList],
    vectors: Sequence[NDArray[np.float32]],
    rows: Sequence[Collection[str]],
    scored: Sequence[Sequence[Scored]],
    pool: ThreadPoolExecutor,
) -> None:
    """Add to each list's scores those of the items that only other lists found."""
    calls = [
        partial(
            one.score,
            asked,
            [
                [item_id for item_id in items if item_id not in found]
                for items, found in zip(rows, best, strict=True)
            ],
        )
        for one, asked, best in zip(lists, vectors, scored, strict=True)
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
