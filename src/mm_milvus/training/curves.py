"""Loss and recall over the epochs, as a table and as a picture."""

from __future__ import annotations

import csv
from pathlib import Path

from mm_milvus.errors import MmMilvusError
from mm_milvus.training.loop import History
from mm_milvus.training.metrics import CUTS

CSV, PNG = "curves.csv", "curves.png"


def write_curves(history: History, folder: Path) -> None:
    """Write curves.csv, a line an epoch, and curves.png."""
    with (folder / CSV).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)
    _draw(history, folder / PNG)


def check_drawing() -> None:
    """Raise the error of a missing matplotlib before the training, not after it."""
    try:
        import matplotlib as _  # noqa: F401
    except ImportError as error:
        raise MmMilvusError(
            "matplotlib is not installed, which draws the curves; pip install 'mm-milvus[train]'"
        ) from error


def _draw(history: History, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in history]
    left.plot(epochs, [line["loss"] for line in history], color="#222222")
    left.set(xlabel="epoch", ylabel="training loss")
    for direction, style in (("text_to_image", "-"), ("image_to_text", "--")):
        for cut, colour in zip(CUTS, ("#b3446c", "#3b6fb6", "#4f9d69"), strict=True):
            name = f"{direction}_recall@{cut}"
            label = f"{direction.replace('_', '-')} @{cut}"
            values = [line[name] for line in history]
            right.plot(epochs, values, style, color=colour, label=label)
    right.set(xlabel="epoch", ylabel="validation recall", ylim=(0, 1.02))
    right.legend(fontsize="x-small", ncols=2, frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.savefig(path, dpi=150)
