"""What a search returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ListScore:
    """Where an item stands in one collection's list.

    score  the inner product of unit vectors, -1 to 1
    rank   among the candidates, from 1; equal scores share a rank
    """

    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Hit:
    """An item that was found.

    score       what it is ranked by; its scale is that of the fusion mode, or of the last rerank
    caption     the caption that matches best; None for an item without any
    image       its place among the images
    text        its place among the captions; None for an item without any
    duplicates  with `dedup`, the item_ids that it stands for, best first
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
        """The hit as JSON has it; `duplicates` only where there are some."""
        fields = asdict(self)
        if not self.duplicates:
            del fields["duplicates"]
        return fields


@dataclass(frozen=True, slots=True)
class ExplainedPlace:
    """A place in a list, and what the fusion made of it: `term`, as its mode adds terms up."""

    score: float
    rank: int
    term: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a search came to its hits.

    places      for each hit, its place in each list that has one, by the list's name
    candidates  how many items the lists found together
    stages      milliseconds of each stage, in the order that they ran
    """

    hits: list[Hit]
    fusion: str
    places: list[dict[str, ExplainedPlace]]
    candidates: int
    stages: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON has it: each hit with its places as `lists`."""
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
