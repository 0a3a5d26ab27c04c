"""Whether one way to search is better than another, on the same queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mm_milvus.errors import QueryError
from mm_milvus.evaluation.files import read_runs, table
from mm_milvus.evaluation.resample import paired_test

SIGNIFICANCE = 0.05


@dataclass(frozen=True, slots=True)
class Difference:
    """How far apart two runs are on a metric.

    a, b        the means over the queries that both have
    difference  a - b
    interval    95 %, of the difference, by paired bootstrap
    p           two-sided, of Fisher's randomisation test
    """

    metric: str
    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    p: float

    @property
    def better(self) -> str | None:
        """`A` or `B`; None where the difference is not significant at 5 %."""
        if self.p >= SIGNIFICANCE or not self.difference:
            return None
        return "A" if self.difference > 0 else "B"

    def sentence(self) -> str:
        """The verdict in words."""
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
    """Two runs over the same queries.

    a, b       their names
    queries    that both have, and were compared on
    unmatched  queries that only one of them has
    """

    a: str
    b: str
    queries: int
    unmatched: int
    differences: list[Difference]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            **asdict(self),
            "differences": [
                {**asdict(each), "better": each.better, "verdict": each.sentence()}
                for each in self.differences
            ],
        }


def compare(a: Path, b: Path, seed: int = 0) -> list[Comparison]:
    """Compare two runs, or each run of one folder with that of the same name in the other.

    Raises `QueryError` where there is nothing to compare.
    """
    left, right = read_runs(a), read_runs(b)
    if len(left) == len(right) == 1:
        pairs = list(zip(left, right, strict=True))
    else:
        pairs = [(name, name) for name in left if name in right]
    if not pairs:
        raise QueryError(
            f"{a} and {b} have no run of the same name: {', '.join(left)}; {', '.join(right)}"
        )
    return [_compare(name, left[name], other, right[other], seed) for name, other in pairs]


def _compare(
    name: str,
    a: Mapping[str, Mapping[str, float]],
    other: str,
    b: Mapping[str, Mapping[str, float]],
    seed: int,
) -> Comparison:
    if name.split("-")[0] != other.split("-")[0]:
        raise QueryError(f"{name} and {other} are of different directions: compare one with itself")
    queries = [query for query in a if query in b]
    if not queries:
        raise QueryError(f"{name} and {other} have no query in common: evaluate both on the same")
    first, second = a[queries[0]], b[queries[0]]
    metrics = [metric for metric in first if metric in second]
    values, others = table(a, queries, metrics), table(b, queries, metrics)
    bounds, p = paired_test(values - others, seed)
    means, other_means = values.mean(axis=0), others.mean(axis=0)
    differences = [
        Difference(
            metric=metric,
            a=round(float(means[n]), 6),
            b=round(float(other_means[n]), 6),
            difference=round(float(means[n] - other_means[n]), 6),
            interval=(round(float(bounds[n, 0]), 6), round(float(bounds[n, 1]), 6)),
            p=float(p[n]),
        )
        for n, metric in enumerate(metrics)
    ]
    unmatched = len(a.keys() ^ b.keys())
    return Comparison(name, other, len(queries), unmatched, differences)
