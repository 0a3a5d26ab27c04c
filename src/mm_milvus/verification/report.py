"""The kinds of problems, and the account of a check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MAX_EXAMPLES = 5


class Kind(StrEnum):
    """What can be wrong.

    MANIFEST  the two collections' manifests differ, or their counts are not those of the rows
    TWICE     rows that are stored more than once
    KEY       an image whose primary key is not the hash of its item_id
    VECTOR    a vector that is not finite, or no unit vector
    ORPHAN    a caption whose image is not stored
    GAP       an item whose captions are not numbered 0, 1, 2, ...
    MISSING   an image or a caption of the source that is not stored
    STALE     one that is stored in another version, or a caption that its item no longer has
    EXTRA     one that is stored, and not in the source
    ENCODING  a vector that differs from that of the same content encoded again
    """

    MANIFEST = "manifest"
    TWICE = "twice"
    KEY = "key"
    VECTOR = "vector"
    ORPHAN = "orphan"
    GAP = "gap"
    MISSING = "missing"
    STALE = "stale"
    EXTRA = "extra"
    ENCODING = "encoding"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem; where is the item's id, or the collection's name."""

    kind: Kind
    where: str
    reason: str


@dataclass(slots=True, kw_only=True)
class VerifyReport:
    """What a check found.

    images, captions  the rows that are stored
    items          read from the source; None where none was given
    rejected       items and captions of the source that an ingest turns away: no problem
    sampled        images and captions that were encoded again
    least_cosine   of those with what is stored; None where none was
    problems       how many there are, by their kind
    examples       some of each kind
    repaired       what was found before it was mended; None without repair
    """

    dataset: str
    uri: str
    images: int = 0
    captions: int = 0
    items: int | None = None
    rejected: int = 0
    sampled: int = 0
    least_cosine: float | None = None
    problems: Counter[Kind] = field(default_factory=Counter)
    examples: list[Problem] = field(default_factory=list)
    repaired: dict[Kind, int] | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def add(self, kind: Kind, where: str, reason: str, count: int = 1) -> None:
        """Note a problem."""
        self.problems[kind] += count
        if sum(each.kind is kind for each in self.examples) < MAX_EXAMPLES:
            self.examples.append(Problem(kind, where, reason))

    def to_dict(self) -> dict[str, Any]:
        """Return the report, ready for JSON."""
        return {
            "dataset": self.dataset,
            "uri": self.uri,
            "healthy": self.healthy,
            "images": self.images,
            "captions": self.captions,
            "items": self.items,
            "rejected": self.rejected,
            "sampled": self.sampled,
            "least_cosine": self.least_cosine and round(self.least_cosine, 6),
            "problems": _plain(self.problems),
            "examples": [
                {"kind": each.kind.value, "where": each.where, "reason": each.reason}
                for each in self.examples
            ],
            "repaired": None if self.repaired is None else _plain(self.repaired),
        }


def _plain(problems: Mapping[Kind, int]) -> dict[str, int]:
    return {kind.value: count for kind, count in sorted(problems.items())}
