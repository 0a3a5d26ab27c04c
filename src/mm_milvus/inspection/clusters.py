"""Spherical k-means, and the number of clusters that suits (Dhillon and Modha, 2001)."""

from __future__ import annotations

import numpy as np

from mm_milvus.inspection.geometry import Groups, Vectors, silhouettes

CLUSTERS = (2, 3, 4, 6, 8, 12, 16)
"""How many are tried."""

ROUNDS = 50


def best_clusters(vectors: Vectors) -> Groups:
    """The k-means clusters of the highest mean silhouette, a number a row from 0.

    All rows are in cluster 0 where there are too few to be told apart.
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
    """At most `count` clusters by cosine: of each row its number, none unused; the same each time.

    Starts as k-means++ does (Arthur and Vassilvitskii, 2007), with a fixed seed.
    """
    centres = _first_centres(vectors, count)
    groups = np.full(len(vectors), -1)
    for _ in range(ROUNDS):
        former, groups = groups, (vectors @ centres.T).argmax(axis=1)
        if np.array_equal(former, groups):
            break
        for group in np.unique(groups):
            centre = vectors[groups == group].mean(axis=0)
            centres[group] = centre / max(float(np.linalg.norm(centre)), 1e-12)
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _first_centres(vectors: Vectors, count: int) -> Vectors:
    random = np.random.default_rng(0)
    chosen = [int(random.integers(len(vectors)))]
    distance = np.full(len(vectors), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.clip(1 - vectors @ vectors[chosen[-1]], 0, None))
        if (total := distance.sum()) <= 0:
            break
        chosen.append(int(random.choice(len(vectors), p=distance / total)))
    return vectors[chosen].copy()
