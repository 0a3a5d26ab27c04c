"""What a training came to, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mm_milvus.training.options import TrainOptions


@dataclass(slots=True)
class TrainReport:
    """What a training came to.

    dataset      the source's name
    model        the folder that `load_encoder` takes
    items        documents for training, validation and test
    rejected     documents that could not be used
    best_epoch   whose weights the model has
    epochs       that were run
    validation   `recalls` on the validation documents, at the best epoch
    test         the same on the test documents; empty without any
    seconds      of the whole run
    interrupted  by Ctrl-C; the model is that of the best epoch before
    """

    dataset: str
    model: str
    items: dict[str, int]
    rejected: int = 0
    best_epoch: int = 0
    epochs: int = 0
    validation: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: bool = False
    rejects_file: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        document = asdict(self)
        document["rejects_file"] = str(self.rejects_file) if self.rejects_file else None
        return document


def model_card(report: TrainReport, options: TrainOptions, towers: Mapping[str, str]) -> str:
    """The README.md of a trained model, in Markdown."""
    settings = asdict(options) | {"document": dict(options.document), "learning_rate": options.rate}
    return "\n".join(
        [
            f"# An encoder trained on {report.dataset}",
            "",
            "Embeds images and texts into one space. Made by `mm-milvus train`:",
            "",
            *(f"- {what}: {name}" for what, name in towers.items()),
            f"- data: {report.dataset}; items: "
            + ", ".join(f"{count:,} for {side}" for side, count in report.items.items()),
            f"- the weights of epoch {report.best_epoch} of {report.epochs}, the best by the mean "
            "of the recalls on the validation items",
            "",
            *_table(report),
            "",
            "Recall@k: the share of queries with a right answer among the k nearest. Where few",
            "texts caption all images, image-to-text recall@1 is the accuracy of zero-shot",
            "classification.",
            "",
            "## Settings",
            "",
            *(f"- {name}: {value}" for name, value in settings.items()),
            "",
            "## Use",
            "",
            "    mm-milvus ingest ./photos --model THIS_FOLDER",
            "",
        ]
    )


def _table(report: TrainReport) -> list[str]:
    sides = {"validation": report.validation} | ({"test": report.test} if report.test else {})
    lines = [
        "| recall | " + " | ".join(sides) + " |",
        "|---|" + "---:|" * len(sides),
    ]
    for name in report.validation:
        values = " | ".join(f"{side[name]:.4f}" for side in sides.values())
        lines.append(f"| {name.replace('_', ' ')} | {values} |")
    return lines
