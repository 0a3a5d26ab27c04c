"""What a run did."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mm_milvus.pipeline.flow import Flow

COUNTS = ("items", "images", "captions", "skipped", "rejected", "pruned")


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run did.

    items     read from the source; each is skipped, rejected, or has something written
    images    encoded and stored; in a dry run, that would be
    captions  encoded and stored
    skipped   items that were there already, with the same image and captions
    rejected  items and captions that were turned away, with the reason in `rejects_file`
    pruned    images and captions that were there, left the data set, and were deleted
    images_per_second  items that went through a second, skipped ones included
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
    rejects_file: Path | None = None

    @property
    def images_per_second(self) -> float:
        """The rate of the whole run, model loading and indexing included."""
        return self.items / self.seconds if self.seconds else 0.0

    def account(self, flow: Flow) -> None:
        """Add what became of a flow."""
        self.items += flow.read
        self.images += flow.images
        self.captions += flow.captions
        self.skipped += flow.skipped
        self.rejected += len(flow.rejects)

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "dataset": self.dataset,
            **{name: getattr(self, name) for name in COUNTS},
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
            "model": self.model,
        }


@dataclass(slots=True, kw_only=True)
class EncodeReport(Report):
    """What an encode did.

    output  the folder of the parts
    parts   how many part files were written
    """

    output: Path
    parts: int = 0

    def to_dict(self) -> dict[str, Any]:
        """What `mm-milvus encode --json` prints."""
        return {**Report.to_dict(self), "output": str(self.output), "parts": self.parts}


@dataclass(slots=True, kw_only=True)
class IngestReport(Report):
    """What an ingest did; uri is that of the store."""

    uri: str

    def to_dict(self) -> dict[str, Any]:
        """What `mm-milvus ingest --json` prints."""
        return {**Report.to_dict(self), "uri": self.uri}


@dataclass(slots=True, kw_only=True)
class JudgeReport(Report):
    """What a judgement of images did.

    images  judged
    output  the file of the findings; None: there is none
    """

    output: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """The counts that a judgement has."""
        return {
            "source": self.dataset,
            "model": self.model,
            "items": self.items,
            "images": self.images,
            "rejected": self.rejected,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
            "output": None if self.output is None else str(self.output),
        }


@dataclass(slots=True, kw_only=True)
class ClassifyReport(JudgeReport):
    """What a classification did.

    labels   for each label, of how many images it is the most probable
    labelled the data set of the store whose metadata has the labels now; None: none has
    """

    labels: dict[str, int] = field(default_factory=dict)
    labelled: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """What `mm-milvus classify --json` prints."""
        return {
            **JudgeReport.to_dict(self),
            "dataset": self.labelled,
            "labels": self.labels,
        }


@dataclass(slots=True, kw_only=True)
class ModerateReport(JudgeReport):
    """What a moderation did.

    policy      the name of the policy, or its file
    flagged     images with a category whose probability reaches its threshold
    categories  for each category, how many images are flagged
    """

    policy: str
    flagged: int = 0
    categories: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What `mm-milvus moderate --json` prints."""
        return {
            **JudgeReport.to_dict(self),
            "policy": self.policy,
            "flagged": self.flagged,
            "categories": self.categories,
        }
