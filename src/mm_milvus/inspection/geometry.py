"""Geometry of sets of unit vectors.

Vectors are float arrays (n, dim) with unit rows. No n x n matrix is formed: the mean of a row's
inner products with a set is its inner product with the set's mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors

Groups = NDArray[np.int64]
"""The number of each row's group: (n,), 0 to g - 1, each number used."""

Pairs = NDArray[np.int64]
"""The row of an image and the row of a text, per pair: (p, 2)."""


def modality_gap(images: Vectors, texts: Vectors) -> float:
    """Return the distance of the two centroids, 0 to 2 (Liang et al., Mind the Gap, 2022)."""
    return float(np.linalg.norm(_mean(images) - _mean(texts)))


def mean_similarity(vectors: Vectors) -> float:
    """Return the mean cosine of two different rows, -1 to 1; needs at least two rows.

    This is the anisotropy of Ethayarajh (2019): 0 where directions are spread evenly, near 1
    where all lie in a narrow cone.
    """
    count = len(vectors)
    total = vectors.sum(axis=0, dtype=np.float64)
    return float((total @ total - count) / (count * (count - 1)))


def effective_dimensions(vectors: Vectors) -> float:
    """Return in how many directions the rows vary, 1 to dim; 0 where all rows are equal.

    This is the participation ratio of the covariance. With its eigenvalues e, it is
    (sum e)^2 / sum e^2: k where k of them are equal and the others 0.
    """
    centred = vectors - _mean(vectors)
    covariance = centred.T @ centred
    squares = float((covariance**2).sum())
    return float(np.trace(covariance)) ** 2 / squares if squares else 0.0


def pair_similarities(images: Vectors, texts: Vectors, pairs: Pairs) -> NDArray[np.float64]:
    """Return the cosine of each pair, (p,)."""
    left, right = images[pairs[:, 0]], texts[pairs[:, 1]]
    return np.asarray(np.einsum("ij,ij->i", left, right, dtype=np.float64))


def other_pair_similarity(images: Vectors, texts: Vectors, pairs: Pairs) -> float:
    """Return the mean cosine of an image and a text that are not in `pairs`; needs at least one."""
    in_pairs = pair_similarities(images, texts, pairs).sum()
    total = images.sum(axis=0, dtype=np.float64) @ texts.sum(axis=0, dtype=np.float64)
    return float((total - in_pairs) / (len(images) * len(texts) - len(pairs)))


def silhouettes(vectors: Vectors, groups: Groups) -> NDArray[np.float64]:
    """Return how much nearer each row is to its own group than to the next, (n,), -1 to 1.

    Rousseeuw (1987), with the distance 1 - cosine. There must be at least two groups. A row that
    is alone in its group has 0.
    """
    sizes = np.bincount(groups)
    sums = np.zeros((len(sizes), vectors.shape[1]))
    np.add.at(sums, groups, vectors)
    products = vectors @ sums.T
    rows = np.arange(len(vectors))
    own_size = sizes[groups]
    inside = 1 - (products[rows, groups] - 1) / np.maximum(own_size - 1, 1)
    outside = 1 - products / sizes
    outside[rows, groups] = np.inf
    nearest = outside.min(axis=1)
    larger = np.maximum(inside, nearest)
    values = np.divide(nearest - inside, larger, out=np.zeros(len(vectors)), where=larger > 0)
    return np.where(own_size == 1, 0.0, values)


def principal_axes(vectors: Vectors) -> NDArray[np.float64]:
    """Return the two directions of most variance, (2, dim).

    Each has the sign that makes its largest component positive. Directions along which nothing
    varies are arbitrary.
    """
    centred = (vectors - _mean(vectors)).astype(np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    top = axes[:, ::-1][:, :2].T
    largest = np.take_along_axis(top, np.abs(top).argmax(axis=1)[:, None], axis=1)
    return np.asarray(top * np.sign(largest))


def _mean(vectors: Vectors) -> NDArray[np.float64]:
    return np.asarray(vectors.mean(axis=0, dtype=np.float64))
