"""The fused ranking of one query, read deeper step by step; every page is a part of it.

A fused ranking has no end that could be read for every search, and how deep it is read changes it:
fusion modes compare candidates with each other, and a deeper read finds better ones for places that
are shown already. So it is read in fixed steps, `DEPTHS`. What one step has ranked keeps its place,
and the next step appends what it finds in addition. The ranking depends on the query and the
dataset alone, and not on the page that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mm_milvus.choices import MAX_LIMIT, FusionName
from mm_milvus.search.candidates import Candidates
from mm_milvus.search.fusion import (
    Background,
    Scores,
    background_of,
    fuse_scores,
    fusion_mode,
    rank_order,
    ranks,
    weighted_terms,
)

Leaders = Callable[[Sequence[str]], list[int]]
"""From item_ids, best first, to the position of each one's leader: see `dedup`."""


@dataclass(frozen=True, slots=True)
class Depth:
    """A step of reading.

    Attributes:
        hits: Length of the ranking after it.
        items: Items that are read from each list. Items of one list only displace others: on emoji
            and clothing nDCG@10 was the same to three decimals from 30 on, three times as many
            (docs/measured/fusion.md).
    """

    hits: int
    items: int


DEPTHS = (
    Depth(10, 30),
    Depth(50, 150),
    Depth(250, 750),
    Depth(1250, 3750),
    Depth(6250, MAX_LIMIT),
    Depth(MAX_LIMIT, MAX_LIMIT),
)
"""A deep page costs a quarter more than its own step, for those before it."""


class Step:
    """Candidates of a step, and what explains the places of those that it ranked."""

    def __init__(
        self,
        candidates: Candidates,
        background: Background | None,
        fusion: FusionName,
        weights: Sequence[float] | None,
    ) -> None:
        """Take what the step was ranked by."""
        self.candidates = candidates
        self._background = background
        self._fusion = fusion
        self._weights = weights

    @property
    def fused(self) -> NDArray[np.float64]:
        """The fused scores: (n,)."""
        return fuse_scores(
            self.candidates.scores,
            self._fusion,
            weights=self._weights,
            background=self._background,
        )

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """Rank of each candidate in each list, from 1: (lists, n)."""
        return ranks(self.candidates.scores)

    @cached_property
    def terms(self) -> Scores:
        """Contribution of each list to each fused score: (lists, n)."""
        return weighted_terms(self.candidates.scores, self._fusion, self._weights, self._background)


@dataclass(frozen=True, slots=True)
class Place:
    """A place of the ranking.

    Attributes:
        item_id: The item.
        score: Its fused score.
        step: The step that ranked it.
        column: Its number among the candidates of the step.
        duplicates: Items of the step that were merged into it, best first.
    """

    item_id: str
    score: float
    step: Step
    column: int
    duplicates: tuple[str, ...] = ()

    @property
    def caption(self) -> str | None:
        """The primary key of the caption that matches best; None for an item without captions."""
        return self.step.candidates.captions[self.column]


class FusedRanking:
    """The ranking of one query, extended step by step.

    Attributes:
        places: The places so far, best first.
        ended: Whether there are no others.
        candidates: Number of distinct items that the lists found in the last step.
    """

    def __init__(
        self,
        fusion: FusionName,
        weights: Sequence[float] | None = None,
        left_out: Collection[str] = (),
        leaders: Leaders | None = None,
    ) -> None:
        """Begin an empty ranking.

        Args:
            fusion: The fusion mode.
            weights: Weight of each list; None: all equal.
            left_out: item_ids that get no place.
            leaders: Which items are merged into better ones; None: none.
        """
        self.places: list[Place] = []
        self.ended = False
        self.candidates = 0
        self._fusion = fusion
        self._weights = weights
        self._left_out = left_out
        self._leaders = leaders
        self._first: Background | None = None

    def extend(self, candidates: Candidates, hits: int) -> None:
        """Append the candidates of the next step that have no place yet.

        Args:
            candidates: What the step found.
            hits: Length of the ranking after it; if all lists ended, all get a place.
        """
        step = self.step(candidates)
        fused = step.fused
        known = {place.item_id for place in self.places}.union(self._left_out)
        item_ids = candidates.item_ids
        added = [
            Place(item_ids[n], float(fused[n]), step, int(n))
            for n in rank_order(fused, candidates.scores, item_ids)
            if item_ids[n] not in known
        ]
        if self._leaders is not None:
            added = self._merged(added, self._leaders)
        self.places += added if candidates.ended else added[: max(0, hits - len(self.places))]
        self.ended = candidates.ended
        self.candidates = len(item_ids)

    def step(self, candidates: Candidates) -> Step:
        """Return candidates as a step of this ranking: their scores compare with all others."""
        background = candidates.background
        if not fusion_mode(self._fusion).needs_background:
            if self._first is None:
                self._first = background_of(candidates.scores)
            background = self._first
        return Step(candidates, background, self._fusion, self._weights)

    def _merged(self, added: Sequence[Place], leaders: Leaders) -> list[Place]:
        """Merge duplicates into the best of them; those of an earlier place are dropped."""
        places = [*self.places, *added]
        followers: dict[int, list[str]] = {}
        for number, leader in enumerate(leaders([place.item_id for place in places])):
            group = followers.setdefault(leader, [])
            if number != leader:
                group.append(places[number].item_id)
        return [
            replace(places[leader], duplicates=tuple(group))
            for leader, group in followers.items()
            if leader >= len(self.places)
        ]
