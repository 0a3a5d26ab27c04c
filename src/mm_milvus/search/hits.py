"""Hits, explanations and timings: what a search returns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ListScore:
    """Score and rank of an item in one list.

    Attributes:
        score: Inner product of unit vectors, -1 to 1.
        rank: Rank among the candidates, from 1; equal scores share a rank.
    """

    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Hit:
    """An item that a search returns.

    Attributes:
        item_id: Name of the item in its dataset.
        uri: Path or URL that the image was read from; empty for an item without an image.
        score: What hits are ranked by. Its scale is that of the fusion mode, or of the last rerank
            stage.
        caption: The caption that matches best; None for an item without captions.
        metadata: The JSON object that was stored with the item.
        image: Score and rank among the images; None where no image is stored.
        text: Score and rank among the captions; None for an item without captions.
        duplicates: With `dedup`, the item_ids of the hits that were merged into this one, best
            first.
    """

    item_id: str
    uri: str
    score: float
    caption: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    image: ListScore | None = None
    text: ListScore | None = None
    duplicates: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the hit as JSON types; `duplicates` only if not empty."""
        fields = asdict(self)
        if not self.duplicates:
            del fields["duplicates"]
        return fields


@dataclass(frozen=True, slots=True)
class Page:
    """A page of hits.

    Attributes:
        hits: The hits, best first.
        cursor: What returns the next page; None after the last one.
    """

    hits: list[Hit]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class ExplainedPlace:
    """Score and rank of a hit in one list, and its contribution to the fused score.

    Attributes:
        score: Inner product of unit vectors, -1 to 1.
        rank: Rank among the candidates, from 1.
        term: Weighted term of this list, which the fusion mode combines with those of the others.
    """

    score: float
    rank: int
    term: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The hits of a search, and how they came about.

    Attributes:
        hits: The hits, best first.
        fusion: The fusion mode.
        places: Per hit, its place in each list that has it, by name of the list.
        candidates: Number of distinct items that the lists found.
        stages: Milliseconds per stage, in the order that they ran.
    """

    hits: list[Hit]
    fusion: str
    places: list[dict[str, ExplainedPlace]]
    candidates: int
    stages: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as JSON types: each hit with its places as `lists`."""
        hits = [
            {**hit.to_dict(), "lists": {name: asdict(place) for name, place in places.items()}}
            for hit, places in zip(self.hits, self.places, strict=True)
        ]
        return {
            "fusion": self.fusion,
            "candidates": self.candidates,
            "stages": self.stages,
            "hits": hits,
        }


class Timings(dict[str, float]):
    """Milliseconds per stage of a search, in the order that they ran."""

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the duration of the block to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self[stage] = self.get(stage, 0.0) + 1000 * (time.perf_counter() - started)
