"""Compare two runs over the same queries: whether one is significantly better."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_milvus.errors import QueryError
from mm_milvus.evaluation.files import read_runs
from mm_milvus.evaluation.sampling import paired_test

SIGNIFICANCE = 0.05
"""A difference with a p below this is significant."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference between two runs on one metric.

    Attributes:
        metric: Name of the metric.
        a: Mean of run A over the queries that both runs have.
        b: Mean of run B over the same queries.
        difference: a - b.
        interval: 95 % confidence interval of the difference, by paired bootstrap.
        p: Two-sided p of Fisher's randomisation test.
    """

    metric: str
    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    p: float

    @property
    def better(self) -> str | None:
        """The better run, `A` or `B`; None where the difference is not significant at 5 %."""
        if self.p >= SIGNIFICANCE or not self.difference:
            return None
        return "A" if self.difference > 0 else "B"

    def sentence(self) -> str:
        """Return the verdict in words."""
        low, high = self.interval
        if self.better is None:
            return (
                f"no significant difference on {self.metric}: A - B is "
                f"{self.difference:+.3f} [{low:+.3f}, {high:+.3f}], p = {self.p:.3g}"
            )
        if self.better == "B":
            low, high = -high, -low
        return (
            f"{self.better} is better on {self.metric} by {abs(self.difference):.3f} "
            f"[{low:.3f}, {high:.3f}], p = {self.p:.3g}"
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of two runs over the same queries.

    Attributes:
        a: Name of run A.
        b: Name of run B.
        queries: Number of queries that both have, and were compared on.
        unmatched: Number of queries that only one of them has.
        differences: One per metric.
    """

    a: str
    b: str
    queries: int
    unmatched: int
    differences: list[Difference]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON types."""
        return {
            **asdict(self),
            "differences": [
                {
                    **asdict(difference),
                    "better": difference.better,
                    "verdict": difference.sentence(),
                }
                for difference in self.differences
            ],
        }


def compare(
    a: str | os.PathLike[str], b: str | os.PathLike[str], seed: int = 0
) -> list[Comparison]:
    """Compare two runs, or each run of one folder with that of the same name in the other.

    Args:
        a: A folder that `write_evaluation` wrote, or a file of its runs.
        b: The same, to compare with.
        seed: Seed of the random draws.

    Returns:
        One comparison per pair of runs.

    Raises:
        QueryError: When there is nothing to compare.
    """
    runs_a, runs_b = read_runs(Path(a)), read_runs(Path(b))
    if len(runs_a) == len(runs_b) == 1:
        pairs = list(zip(runs_a, runs_b, strict=True))
    else:
        pairs = [(name, name) for name in runs_a if name in runs_b]
    if not pairs:
        raise QueryError(
            f"{a} and {b} have no run of the same name: {', '.join(runs_a)}; {', '.join(runs_b)}"
        )
    return [
        _compare(name_a, runs_a[name_a], name_b, runs_b[name_b], seed) for name_a, name_b in pairs
    ]


def _compare(
    name_a: str,
    run_a: Mapping[str, Mapping[str, float]],
    name_b: str,
    run_b: Mapping[str, Mapping[str, float]],
    seed: int,
) -> Comparison:
    if name_a.split("-")[0] != name_b.split("-")[0]:
        raise QueryError(
            f"{name_a} and {name_b} are of different directions: compare runs of one direction"
        )
    queries = [query for query in run_a if query in run_b]
    if not queries:
        raise QueryError(
            f"{name_a} and {name_b} have no query in common: evaluate both on the same"
        )
    metrics = [metric for metric in run_a[queries[0]] if metric in run_b[queries[0]]]
    values_a, values_b = _table(run_a, queries, metrics), _table(run_b, queries, metrics)
    bounds, p = paired_test(values_a - values_b, seed)
    means_a, means_b = values_a.mean(axis=0), values_b.mean(axis=0)
    differences = [
        Difference(
            metric=metric,
            a=round(float(means_a[n]), 6),
            b=round(float(means_b[n]), 6),
            difference=round(float(means_a[n] - means_b[n]), 6),
            interval=(round(float(bounds[n, 0]), 6), round(float(bounds[n, 1]), 6)),
            p=float(p[n]),
        )
        for n, metric in enumerate(metrics)
    ]
    unmatched = len(run_a.keys() ^ run_b.keys())
    return Comparison(name_a, name_b, len(queries), unmatched, differences)


def _table(
    run: Mapping[str, Mapping[str, float]], queries: Sequence[str], metrics: Sequence[str]
) -> NDArray[np.float64]:
    """Return the values of a run: float64 (queries, metrics)."""
    return np.array([[run[query][metric] for metric in metrics] for query in queries])
