"""Counts of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mm_milvus.pipeline.batch import Batch
from mm_milvus.rejects import count_reasons

COUNTS = ("items", "images", "captions", "skipped", "rejected", "pruned")


@dataclass(slots=True, kw_only=True)
class Report:
    """Counts of a run.

    Attributes:
        dataset: The name of the dataset.
        model: The id of the encoder.
        items: Items read from the source; each is skipped, rejected, or has something written.
        images: Images encoded and stored; in a dry run, those that would be.
        captions: Captions encoded and stored.
        skipped: Items that were stored already, with the same image and captions.
        rejected: Items and captions that were rejected, with the reason in `rejects_file`.
        rejects: Their number by the kind of reason, in which N stands for a number and … for a
            name; at most `rejects.MAX_REASONS` kinds and `rejects.OTHER_REASONS`.
        pruned: Images and captions that were deleted because they are no longer in the source.
        seconds: Duration of the whole call, model loading and indexing included.
        interrupted: Whether the run was stopped before its end.
        rejects_file: Where the rejects are; None without rejects, or where no file was asked for
            or could be written.
        rejects_failure: Why the file of rejects could not be written; None where it could.
        skipped_files: The numbers of files of a folder that are not read as images, captions or
            tables, by suffix.
        notes: What users should know of the items that were stored, with its numbers.
    """

    dataset: str
    model: str
    items: int = 0
    images: int = 0
    captions: int = 0
    skipped: int = 0
    rejected: int = 0
    pruned: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    rejects: dict[str, int] = field(default_factory=dict)
    rejects_file: Path | None = None
    rejects_failure: str | None = None
    skipped_files: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def images_per_second(self) -> float:
        """Items per second of the whole call, skipped ones included."""
        return self.items / self.seconds if self.seconds else 0.0

    def add(self, batch: Batch[Any]) -> None:
        """Add the counts of a batch."""
        self.items += batch.read
        self.images += batch.images
        self.captions += batch.captions
        self.skipped += batch.skipped
        self.rejected += len(batch.rejects)
        count_reasons(self.rejects, batch.rejects)

    def outcome(self) -> dict[str, Any]:
        """Return the rejects by reason, their file, and whether the run was interrupted."""
        return {
            "rejects": self.rejects,
            "rejects_file": None if self.rejects_file is None else str(self.rejects_file),
            "interrupted": self.interrupted,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the report, ready for JSON."""
        return {
            "dataset": self.dataset,
            **{name: getattr(self, name) for name in COUNTS},
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
            "model": self.model,
            **self.outcome(),
            **({"skipped_files": self.skipped_files} if self.skipped_files else {}),
            **({"notes": self.notes} if self.notes else {}),
        }
