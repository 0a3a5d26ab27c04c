"""Results of a training: the report, the curves and the model card."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mm_milvus.atomic import unwritable
from mm_milvus.render.plots import draw_curves
from mm_milvus.training.options import TrainOptions

CURVES, CURVES_PICTURE = "curves.csv", "curves.png"


@dataclass(slots=True)
class TrainReport:
    """Results of a training.

    Attributes:
        dataset: The name of the source.
        model: The folder of the model, for `load_encoder`.
        items: Number of documents for training, validation and test.
        rejected: Number of items that could not be used, with the reason in `rejects_file`.
        rejects: Their number by the kind of reason, as in `Report`.
        best_epoch: The epoch, from 1, whose weights the model has; 0 where none was finished.
        epochs: Number of finished epochs.
        validation: Recalls of the validation documents at the best epoch, 0 to 1.
        test: Recalls of the test documents; empty without any.
        seconds: Duration of the whole call.
        interrupted: Whether Ctrl-C ended the training before its last epoch.
        rejects_file: Where the rejects are; None without rejects, or where no file was asked for
            or could be written.
        rejects_failure: Why the file of rejects could not be written; None where it could.
    """

    dataset: str
    model: str
    items: dict[str, int] = field(default_factory=dict)
    rejected: int = 0
    best_epoch: int = 0
    epochs: int = 0
    validation: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: bool = False
    rejects: dict[str, int] = field(default_factory=dict)
    rejects_file: Path | None = None
    rejects_failure: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the report, ready for JSON."""
        document = asdict(self)
        del document["rejects_failure"]
        document["rejects_file"] = str(self.rejects_file) if self.rejects_file else None
        return document


def write_curves(history: list[dict[str, float]], folder: Path) -> None:
    """Write loss and recalls to `curves.csv`, one line per epoch, and draw them in `curves.png`.

    Raises:
        OutputError: When a file cannot be written.
    """
    try:
        with (folder / CURVES).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(history[0]))
            writer.writeheader()
            writer.writerows(history)
        draw_curves(folder / CURVES_PICTURE, history)
    except OSError as error:
        raise unwritable(folder, error) from error


def model_card(report: TrainReport, options: TrainOptions, towers: Mapping[str, str]) -> str:
    """Return the README.md of a trained model, in Markdown."""
    settings = asdict(options) | {"document": dict(options.document), "learning_rate": options.rate}
    return "\n".join(
        [
            f"# An encoder trained on {report.dataset}",
            "",
            "Embeds images and texts into one space. Trained by mm-milvus:",
            "",
            *(f"- {what}: {name}" for what, name in towers.items()),
            f"- data: {report.dataset}; items: "
            + ", ".join(f"{count:,} for {side}" for side, count in report.items.items()),
            f"- weights: epoch {report.best_epoch} of {report.epochs}, which has the highest mean "
            "recall on the validation items",
            "",
            *_table(report),
            "",
            "Recall@k: the share of queries with a right answer among the k nearest. Where few",
            "captions cover all images, image-to-text recall@1 is the accuracy of zero-shot",
            "classification.",
            "",
            "## Settings",
            "",
            *(f"- {name}: {value}" for name, value in settings.items()),
            "",
            "## Use",
            "",
            "    from mm_milvus import ingest",
            "",
            '    ingest("./photos", model="THIS_FOLDER")',
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
