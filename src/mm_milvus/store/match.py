"""What a search of a collection finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mm_milvus.schema import Field


@dataclass(frozen=True, slots=True)
class Match:
    """A row that a search found; score is the inner product of unit vectors, -1 to 1."""

    item_id: str
    uri: str
    score: float
    metadata: dict[str, Any]
    caption: str | None


def match_of(hit: Any) -> Match:
    """A hit as pymilvus answers with it."""
    entity = hit["entity"]
    return Match(
        item_id=entity[Field.ITEM_ID],
        uri=entity[Field.URI],
        score=float(hit["distance"]),
        metadata=entity[Field.METADATA],
        caption=entity.get(Field.CAPTION),
    )
