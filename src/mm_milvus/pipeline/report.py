"""What an ingest did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mm_milvus.pipeline.flow import Flow


@dataclass(slots=True)
class IngestReport:
    """What an ingest did.

    items     read from the source; each is skipped, rejected, or has something written
    images    encoded and stored; in a dry run, that would be
    captions  encoded and stored
    skipped   items that were stored already, with the same image and captions
    rejected  items and captions that were turned away, with the reason in `rejects_file`
    pruned    stored images and captions that left the data set, and were deleted
    images_per_second  items that went through a second, skipped ones included
    """

    dataset: str
    model: str
    uri: str
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
        """What `mm-milvus ingest --json` prints."""
        fields = asdict(self)
        names = ["dataset", "items", "images", "captions", "skipped", "rejected", "pruned"]
        return {
            **{name: fields[name] for name in names},
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
            "model": self.model,
            "uri": self.uri,
        }
