"""What an evaluation came to, for people, for programs, and to be compared."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_milvus.evaluation.metrics import MEDIAN_RANK, RANK, Values
from mm_milvus.evaluation.resample import mean_intervals, median, median_interval

EXACT = "exact"

Interval = tuple[float | None, float | None]
"""95 %, by bootstrap over the queries; None: beyond the depth."""


@dataclass(frozen=True, slots=True)
class Run:
    """One way to answer all queries of a direction.

    direction  such as text_to_image, or text_to_item where both lists are searched
    encoder    that made the vectors
    fusion     a fusion mode; `image` or `text`: that list alone, of items; None: one list is
               all there is
    index      the index's type, or `exact`
    metrics    the means over the queries, and the median rank; None: beyond the depth
    intervals  of the metrics
    query_ids  of the queries, in the order of `values`
    values     of each metric, and `RANK`, query by query
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
        """As JSON has it."""
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
    """The runs over one data set.

    cuts     the k of the metrics
    depth    how many documents of each ranking were looked at
    texts    of a query_id what it asks, where the two are not the same
    remarks  what a reader must know, such as judged items that are not stored
    """

    dataset: str
    encoders: list[str]
    depth: int
    cuts: tuple[int, ...]
    seed: int
    items: int = 0
    captions: int = 0
    runs: list[Run] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def name_of(self, run: Run) -> str:
        """What tells a run from the others: text_to_item-max-index.

        Of encoders, only what tells several apart: so are runs of two evaluations called alike.
        """
        place = EXACT if run.index == EXACT else "index"
        encoder = run.encoder if len(self.encoders) > 1 else ""
        parts = (run.direction, run.fusion, place, re.sub(r"[^A-Za-z0-9.]+", "_", encoder))
        return "-".join(filter(None, parts))

    def shown(self, run: Run, metric: str) -> str:
        """A metric for people; a dash where the run has none."""
        if metric not in run.metrics:
            return "—"
        return self.figure(metric, run.metrics[metric])

    def figure(self, metric: str, value: float | None) -> str:
        """A value of a metric, or an end of its interval, for people."""
        if value is None:
            return f">{self.depth}"
        return f"{value:g}" if metric == MEDIAN_RANK else f"{value:.3f}"

    def chief_metrics(self) -> list[str]:
        """Those that a small table has room for; not every run has the last."""
        least, most = min(self.cuts), max(self.cuts)
        cut = dict.fromkeys((f"recall@{least}", f"recall@{most}"))
        return [*cut, f"ndcg@{most}", "mrr", "map", MEDIAN_RANK, f"index_recall@{most}"]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
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
) -> Run:
    """The means and their intervals of the values of all queries."""
    names = [name for name in values if name != RANK]
    matrix = np.stack([values[name] for name in names], axis=1)
    bounds = mean_intervals(matrix, seed)
    ranks = values[RANK]
    return Run(
        direction=direction,
        encoder=encoder,
        fusion=fusion,
        index=index,
        metrics={
            **dict(zip(names, map(finite, matrix.mean(axis=0)), strict=True)),
            MEDIAN_RANK: finite(median(ranks)),
        },
        intervals={
            **dict(zip(names, map(_interval, bounds), strict=True)),
            MEDIAN_RANK: _interval(median_interval(ranks, seed)),
        },
        query_ids=list(query_ids),
        values=values,
    )


def finite(value: Any) -> float | None:
    """A number as it is told, to six decimals; None for infinity."""
    return round(float(value), 6) if math.isfinite(value) else None


def _interval(bounds: NDArray[np.float64]) -> Interval:
    low, high = bounds
    return finite(low), finite(high)
