"""Results of an evaluation: runs, and their summary for people and programs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_milvus.evaluation.metrics import MEDIAN_RANK, RANK, Values
from mm_milvus.evaluation.sampling import mean_intervals, median, median_interval

EXACT = "exact"
"""The `index` of a run that compares queries with every stored vector."""

Interval = tuple[float | None, float | None]
"""95 % confidence interval, by bootstrap over the queries; None: beyond the depth."""


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """One way to answer all queries of a direction.

    Attributes:
        direction: Such as `text_to_image`, or `text_to_item` where both lists are searched.
        encoder: The encoder of the vectors.
        fusion: A fusion mode; `image` or `text`: items by that list alone; None: the direction
            searches one list only.
        index: Type of the index, or `exact`.
        metrics: Means over the queries, and the median rank; None: beyond the depth.
        intervals: 95 % confidence intervals of the metrics.
        query_ids: The queries, in the order of `values`.
        values: Values of each metric, and `RANK`, per query.
    """

    direction: str
    encoder: str
    fusion: str | None
    index: str
    metrics: dict[str, float | None]
    intervals: dict[str, Interval]
    query_ids: list[str]
    values: dict[str, Values]

    def to_dict(self) -> dict[str, Any]:
        """Return the run as JSON types, without the values of single queries."""
        return {
            "direction": self.direction,
            "encoder": self.encoder,
            "fusion": self.fusion,
            "index": self.index,
            "queries": len(self.query_ids),
            "metrics": self.metrics,
            "intervals": self.intervals,
        }


@dataclass(slots=True)
class Evaluation:
    """The runs over one dataset.

    Attributes:
        dataset: Name of the dataset.
        encoders: The evaluated encoders.
        depth: Length of each ranking.
        cuts: Cut-offs k of the metrics.
        seed: Seed of the sample and of the confidence intervals.
        items: Number of items with an image.
        captions: Number of captions.
        runs: One per encoder, direction, fusion mode and kind of search.
        remarks: What a reader must know, such as judged items that are not stored.
        texts: Per query_id the query in one line, where it differs from the id.
        seconds: Duration of the evaluation.
    """

    dataset: str
    encoders: list[str]
    depth: int
    cuts: tuple[int, ...]
    seed: int
    items: int = 0
    captions: int = 0
    runs: list[EvaluationRun] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def run_name(self, run: EvaluationRun) -> str:
        """Return a name of a run that no other has, such as text_to_item-max-index.

        It contains the encoder only where there are several, so that runs of two evaluations with
        different encoders have equal names.
        """
        place = EXACT if run.index == EXACT else "index"
        encoder = run.encoder if len(self.encoders) > 1 else ""
        parts = (run.direction, run.fusion, place, re.sub(r"[^A-Za-z0-9.]+", "_", encoder))
        return "-".join(filter(None, parts))

    def format_metric(self, run: EvaluationRun, metric: str) -> str:
        """Format a metric of a run; a dash where the run does not have it."""
        if metric not in run.metrics:
            return "—"
        return self.format_value(metric, run.metrics[metric])

    def format_value(self, metric: str, value: float | None) -> str:
        """Format a value of a metric, or an end of its interval."""
        if value is None:
            return f">{self.depth}"
        return f"{value:g}" if metric == MEDIAN_RANK else f"{value:.3f}"

    def main_metrics(self) -> list[str]:
        """Return the metrics for a small table; not every run has the last."""
        least, most = min(self.cuts), max(self.cuts)
        cut = dict.fromkeys((f"recall@{least}", f"recall@{most}"))
        return [*cut, f"ndcg@{most}", "mrr", "map", MEDIAN_RANK, f"index_recall@{most}"]

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as JSON types, without the values of single queries."""
        return {
            "dataset": self.dataset,
            "items": self.items,
            "captions": self.captions,
            "depth": self.depth,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "remarks": self.remarks,
            "runs": [run.to_dict() for run in self.runs],
        }


def summarise(
    direction: str,
    encoder: str,
    fusion: str | None,
    index: str,
    query_ids: Sequence[str],
    values: dict[str, Values],
    seed: int,
) -> EvaluationRun:
    """Summarise the values of all queries by their means and confidence intervals.

    Args:
        direction: As in `EvaluationRun`.
        encoder: As in `EvaluationRun`.
        fusion: As in `EvaluationRun`.
        index: As in `EvaluationRun`.
        query_ids: As in `EvaluationRun`.
        values: As in `EvaluationRun`.
        seed: Seed of the bootstrap.
    """
    names = [name for name in values if name != RANK]
    matrix = np.stack([values[name] for name in names], axis=1)
    bounds = mean_intervals(matrix, seed)
    ranks = values[RANK]
    return EvaluationRun(
        direction=direction,
        encoder=encoder,
        fusion=fusion,
        index=index,
        metrics={
            **dict(zip(names, map(rounded, matrix.mean(axis=0)), strict=True)),
            MEDIAN_RANK: rounded(median(ranks)),
        },
        intervals={
            **dict(zip(names, map(_interval, bounds), strict=True)),
            MEDIAN_RANK: _interval(median_interval(ranks, seed)),
        },
        query_ids=list(query_ids),
        values=values,
    )


def rounded(value: Any) -> float | None:
    """Round a number to six decimals; None for infinity."""
    return round(float(value), 6) if math.isfinite(value) else None


def _interval(bounds: NDArray[np.float64]) -> Interval:
    low, high = bounds
    return rounded(low), rounded(high)
