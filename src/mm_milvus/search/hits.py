"""What a search returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ListScore:
    """Where an item stands in one collection's list.

    score  the inner product of unit vectors, -1 to 1
    rank   from 1; equal scores share a rank
    """

    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Hit:
    """An item that was found.

    score    what it is ranked by; its scale is that of the fusion mode
    caption  the caption that matched best; for a hit by its image alone, the item's first
             caption; None for an item without any
    image    its place among the images; None when it is not in that list
    text     its place among the captions; None when it is not in that list
    """

    item_id: str
    uri: str
    score: float
    caption: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    image: ListScore | None = None
    text: ListScore | None = None

    def to_dict(self) -> dict[str, Any]:
        """The hit as JSON has it."""
        return asdict(self)
