"""How sets of unit vectors lie in their space.

All take float arrays of (n, dim) with unit rows, and sum without forming the n x n matrix: the mean
of a row's inner products with a set is its product with the set's mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Groups = NDArray[np.int64]


def modality_gap(images: Vectors, texts: Vectors) -> float:
    """The distance between the two centroids, 0 to 2 (Liang et al., Mind the Gap, 2022)."""
    return float(np.linalg.norm(_mean(images) - _mean(texts)))


def mean_similarity(vectors: Vectors) -> float:
    """The mean cosine of two different rows, -1 to 1; needs two rows at least.

    This is the anisotropy of Ethayarajh (2019): 0 where directions are spread evenly, near 1
    where all lie in a narrow cone.
    """
    count = len(vectors)
    total = vectors.sum(axis=0, dtype=np.float64)
    return float((total @ total - count) / (count * (count - 1)))


def effective_dimensions(vectors: Vectors) -> float:
    """In how many directions the rows vary, 1 to dim: the participation ratio of the covariance.

    With its eigenvalues e, (sum e)^2 / sum e^2: k where k of them are equal and the others 0.
    0 where all rows are equal.
    """
    centred = vectors - _mean(vectors)
    covariance = centred.T @ centred
    squares = float((covariance**2).sum())
    return float(np.trace(covariance)) ** 2 / squares if squares else 0.0


def pair_similarities(images: Vectors, texts: Vectors, pairs: Groups) -> NDArray[np.float64]:
    """The cosine of each pair; pairs is (n, 2): the row of an image, the row of its text."""
    one, other = images[pairs[:, 0]], texts[pairs[:, 1]]
    return np.asarray(np.einsum("ij,ij->i", one, other, dtype=np.float64))


def other_pair_similarity(images: Vectors, texts: Vectors, pairs: Groups) -> float:
    """The mean cosine of an image and a text that are no pair; there must be such."""
    true = pair_similarities(images, texts, pairs).sum()
    every = images.sum(axis=0, dtype=np.float64) @ texts.sum(axis=0, dtype=np.float64)
    return float((every - true) / (len(images) * len(texts) - len(pairs)))


def silhouettes(vectors: Vectors, groups: Groups) -> NDArray[np.float64]:
    """How much nearer each row is to its own group than to the next, -1 to 1 (Rousseeuw, 1987).

    The distance is 1 - cosine. groups holds a number a row, 0 to g - 1, each of them used, and
    at least two. A row that is alone in its group has 0.
    """
    sizes = np.bincount(groups)
    sums = np.zeros((len(sizes), vectors.shape[1]))
    np.add.at(sums, groups, vectors)
    products = vectors @ sums.T
    rows = np.arange(len(vectors))
    own_size = sizes[groups]
    own = 1 - (products[rows, groups] - 1) / np.maximum(own_size - 1, 1)
    others = 1 - products / sizes
    others[rows, groups] = np.inf
    nearest = others.min(axis=1)
    larger = np.maximum(own, nearest)
    values = np.divide(nearest - own, larger, out=np.zeros(len(vectors)), where=larger > 0)
    return np.where(own_size == 1, 0.0, values)


def principal_axes(vectors: Vectors) -> NDArray[np.float64]:
    """The two directions of most variance, (2, dim), each signed so that its largest part is > 0.

    Directions along which nothing varies are arbitrary.
    """
    centred = (vectors - _mean(vectors)).astype(np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    top = axes[:, ::-1][:, :2].T
    largest = np.take_along_axis(top, np.abs(top).argmax(axis=1)[:, None], axis=1)
    return np.asarray(top * np.sign(largest))


def _mean(vectors: Vectors) -> NDArray[np.float64]:
    return np.asarray(vectors.mean(axis=0, dtype=np.float64))
