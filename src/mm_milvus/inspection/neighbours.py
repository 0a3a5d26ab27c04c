"""What stands too close, and what stands alone: near duplicates and outliers among unit vectors."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mm_milvus.inspection.geometry import Vectors

BLOCK = 1024
"""Rows compared with all others at a time: the full matrix of 10,000 rows takes 400 MB."""

DUPLICATE_COSINE = 0.97
NEIGHBOURS = 5
DEVIATIONS = 3.0
MAD_TO_DEVIATION = 1.4826
"""Of a normal distribution, the standard deviation over the median absolute deviation."""


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """What one pass over all pairs of rows tells.

    duplicates   clusters of rows that are linked by cosines above the threshold, each rising; the
                 largest first
    nearness     for each row, the mean cosine to its five nearest others
    """

    duplicates: list[list[int]]
    nearness: NDArray[np.float64]


def neighbourhood(vectors: Vectors, threshold: float = DUPLICATE_COSINE) -> Neighbourhood:
    """Compare all pairs of unit rows, (n, dim); O(n^2) in time, a block of rows in memory."""
    count = len(vectors)
    depth = min(NEIGHBOURS, count - 1)
    nearness = np.zeros(count)
    links: list[tuple[int, int]] = []
    for start in range(0, count, BLOCK):
        products = vectors[start : start + BLOCK] @ vectors.T
        rows = np.arange(len(products))
        products[rows, start + rows] = -np.inf
        if depth:
            nearest = np.partition(products, count - depth, axis=1)[:, count - depth :]
            nearness[start : start + BLOCK] = nearest.mean(axis=1)
        found = np.argwhere(products > threshold)
        links += [(start + int(row), int(other)) for row, other in found if start + row < other]
    return Neighbourhood(linked(links), nearness)


def linked(links: list[tuple[int, int]]) -> list[list[int]]:
    """The connected sets of a graph, each rising; the largest first, then by their first member."""
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        while (above := parent.setdefault(node, node)) != node:
            parent[node] = parent[above]
            node = above
        return node

    for one, other in links:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    members = defaultdict(list)
    for node in sorted(parent):
        members[root(node)].append(node)
    return sorted(members.values(), key=lambda nodes: (-len(nodes), nodes[0]))


def outliers(nearness: NDArray[np.float64]) -> list[int]:
    """The rows that stand alone, the loneliest first.

    Those whose nearness lies three deviations below the median, the deviation by the median
    absolute deviation, which outliers do not stretch (Leys et al., 2013).
    """
    if not nearness.size:
        return []
    median = float(np.median(nearness))
    deviation = MAD_TO_DEVIATION * float(np.median(np.abs(nearness - median)))
    low = np.flatnonzero(nearness < median - DEVIATIONS * deviation)
    return [int(row) for row in low[np.argsort(nearness[low], kind="stable")]]
