"""Near duplicates and outliers among unit vectors."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors

BLOCK = 1024
"""Rows compared with all others at a time: the full matrix of 10,000 rows takes 400 MB."""

DUPLICATE_COSINE = 0.97
NEIGHBOURS = 5
DEVIATIONS = 3.0
MAD_TO_DEVIATION = 1.4826
"""Standard deviation of a normal distribution, divided by its median absolute deviation."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Results of one pass over all pairs of rows.

    Attributes:
        duplicates: Clusters of rows that are linked by cosines above the threshold, each in
            ascending order, the largest cluster first.
        nearness: For each row, the mean cosine to its five nearest others, (n,).
    """

    duplicates: list[list[int]]
    nearness: NDArray[np.float64]


def find_neighbours(vectors: Vectors, threshold: float = DUPLICATE_COSINE) -> Neighbours:
    """Compare all pairs of unit rows, (n, dim): O(n^2) time, memory for `BLOCK` rows of cosines."""
    count = len(vectors)
    depth = min(NEIGHBOURS, count - 1)
    nearness = np.zeros(count)
    links: list[tuple[int, int]] = []
    for start in range(0, count, BLOCK):
        cosines = vectors[start : start + BLOCK] @ vectors.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf
        if depth:
            nearest = np.partition(cosines, count - depth, axis=1)[:, count - depth :]
            nearness[start : start + BLOCK] = nearest.mean(axis=1)
        links += [
            (start + int(row), int(other))
            for row, other in np.argwhere(cosines > threshold)
            if start + row < other
        ]
    return Neighbours(connected(links), nearness)


def connected(links: list[tuple[int, int]]) -> list[list[int]]:
    """Return the connected components of a graph, each in ascending order.

    The largest comes first; components of the same size are ordered by their first member.
    """
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        while (above := parent.setdefault(node, node)) != node:
            parent[node] = parent[above]
            node = above
        return node

    for left, right in links:
        low, high = sorted((root(left), root(right)))
        parent[high] = low
    members = defaultdict(list)
    for node in sorted(parent):
        members[root(node)].append(node)
    return sorted(members.values(), key=lambda nodes: (-len(nodes), nodes[0]))


def find_outliers(nearness: NDArray[np.float64]) -> list[int]:
    """Return the rows that are far from all others, the farthest first.

    Their nearness lies three deviations below the median. The deviation is estimated from the
    median absolute deviation, which outliers do not stretch (Leys et al., 2013).
    """
    if not nearness.size:
        return []
    median = float(np.median(nearness))
    deviation = MAD_TO_DEVIATION * float(np.median(np.abs(nearness - median)))
    low = np.flatnonzero(nearness < median - DEVIATIONS * deviation)
    return [int(row) for row in low[np.argsort(nearness[low], kind="stable")]]
