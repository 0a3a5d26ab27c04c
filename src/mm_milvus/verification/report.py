"""The kinds of problems, and the report of a check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

MAX_EXAMPLES = 5


class ProblemKind(StrEnum):
    """What can be wrong with a stored dataset.

    Attributes:
        MANIFEST: The manifests of the two collections differ, or their counts are not the row
            counts.
        TWICE: Rows are stored more than once.
        KEY: A row has a primary key that is not the hash of its item_id.
        VECTOR: A vector is not finite, or not of unit length.
        ORPHAN: A caption is stored whose image is not; items without an image have none.
        GAP: The captions of an item are not numbered 0, 1, 2, ...
        MISSING: An image or a caption of the source is not stored.
        STALE: A row is stored in another version, or is a caption that its item no longer has.
        EXTRA: A row is stored whose item is not in the source.
        ENCODING: A vector differs from that of the same content encoded again.
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
    """An example of a problem.

    Attributes:
        kind: What is wrong.
        where: The item_id, or the name of the collection.
        reason: How it shows.
    """

    kind: ProblemKind
    where: str
    reason: str


@dataclass(slots=True, kw_only=True)
class VerifyReport:
    """Result of a check.

    Attributes:
        dataset: Name of the dataset.
        uri: The store, without user and password.
        images: Number of stored images.
        captions: Number of stored captions.
        items: Number of items read from the source; None without a source.
        rejected: Items and captions of the source that an ingest rejects; these are no problem.
        sampled: Images and captions that were encoded again.
        least_cosine: The smallest cosine between these and the stored vectors; None without any.
        problems: Number of problems by kind.
        examples: Some problems of each kind, at most `MAX_EXAMPLES`.
        rejects: Number of rejects of the repair's ingest by the kind of reason, as in `Report`.
        rejects_file: Where these rejects are; None without any, or without a file.
        rejects_failure: Why that file could not be written; None where it could.
        interrupted: Whether the ingest of a repair was stopped before its end.
        repaired: Number of problems by kind before the repair; None without a repair.
    """

    dataset: str
    uri: str
    images: int = 0
    captions: int = 0
    items: int | None = None
    rejected: int = 0
    sampled: int = 0
    least_cosine: float | None = None
    problems: Counter[ProblemKind] = field(default_factory=Counter)
    examples: list[Problem] = field(default_factory=list)
    rejects: dict[str, int] = field(default_factory=dict)
    rejects_file: Path | None = None
    rejects_failure: str | None = None
    interrupted: bool = False
    repaired: dict[ProblemKind, int] | None = None

    @property
    def healthy(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def add(self, kind: ProblemKind, where: str, reason: str, count: int = 1) -> None:
        """Count a problem, and keep it as an example if there are few of its kind.

        Args:
            kind: What is wrong.
            where: The item_id, or the name of the collection.
            reason: How it shows.
            count: Number of rows with this problem.
        """
        self.problems[kind] += count
        if sum(problem.kind is kind for problem in self.examples) < MAX_EXAMPLES:
            self.examples.append(Problem(kind, where, reason))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-compatible values."""
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
                {"kind": problem.kind.value, "where": problem.where, "reason": problem.reason}
                for problem in self.examples
            ],
            "rejects": self.rejects,
            "rejects_file": None if self.rejects_file is None else str(self.rejects_file),
            "interrupted": self.interrupted,
            "repaired": None if self.repaired is None else _plain(self.repaired),
        }


def _plain(problems: Mapping[ProblemKind, int]) -> dict[str, int]:
    return {kind.value: count for kind, count in sorted(problems.items())}
