"""Spherical k-means, and the choice of the number of clusters (Dhillon and Modha, 2001)."""

from __future__ import annotations

import numpy as np

from mm_milvus.arrays import Vectors
from mm_milvus.inspection.geometry import Groups, silhouettes

CLUSTERS = (2, 3, 4, 6, 8, 12, 16)
"""The numbers of clusters that are tried."""

ROUNDS = 50
"""Maximum number of k-means iterations."""


def best_clusters(vectors: Vectors) -> Groups:
    """Return the k-means clusters of the highest mean silhouette, (n,).

    All rows are in cluster 0 where there are too few rows, or too few distinct ones, to cluster.
    """
    best = np.zeros(len(vectors), dtype=np.int64)
    highest = -np.inf
    for count in CLUSTERS:
        if count >= len(vectors):
            break
        groups = k_means(vectors, count)
        if groups.max() == 0:
            continue
        score = silhouettes(vectors, groups).mean()
        if score > highest:
            best, highest = groups, score
    return best


def k_means(vectors: Vectors, count: int) -> Groups:
    """Assign each unit row to one of at most `count` clusters by cosine, the same every time.

    Centres are initialised as k-means++ does (Arthur and Vassilvitskii, 2007), with a fixed seed.
    """
    centres = _initial_centres(vectors, count)
    groups = np.full(len(vectors), -1)
    for _ in range(ROUNDS):
        previous, groups = groups, (vectors @ centres.T).argmax(axis=1)
        if np.array_equal(previous, groups):
            break
        for group in np.unique(groups):
            centre = vectors[groups == group].mean(axis=0)
            centres[group] = centre / max(float(np.linalg.norm(centre)), 1e-12)
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _initial_centres(vectors: Vectors, count: int) -> Vectors:
    random = np.random.default_rng(0)
    chosen = [int(random.integers(len(vectors)))]
    distances = np.full(len(vectors), np.inf)
    while len(chosen) < count:
        distances = np.minimum(distances, np.clip(1 - vectors @ vectors[chosen[-1]], 0, None))
        if (total := distances.sum()) <= 0:
            break
        chosen.append(int(random.choice(len(vectors), p=distances / total)))
    return vectors[chosen].copy()
