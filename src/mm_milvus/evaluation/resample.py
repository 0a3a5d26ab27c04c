"""How sure a mean over queries is, and whether two systems differ: by resampling the queries."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

CONFIDENCE = 0.95
INTERVAL_ROUNDS = 1000
TEST_ROUNDS = 10_000
CHUNK = 4_000_000
"""So many numbers are drawn at once, to bound the memory."""

ROUNDING = 1e-12
"""Sums of the same numbers in another order differ by less."""


def mean_intervals(values: Matrix, seed: int, rounds: int = INTERVAL_ROUNDS) -> Matrix:
    """The 95 % interval (m, 2) of the means of values (n queries, m): percentile bootstrap.

    Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13.
    """
    means = [counts @ values / len(values) for counts in _counts(len(values), rounds, seed)]
    return _percentiles(np.concatenate(means)).T


def median_interval(
    values: NDArray[np.float64], seed: int, rounds: int = INTERVAL_ROUNDS
) -> Matrix:
    """The 95 % interval (2,) of the median of values (n,), which may be infinite."""
    medians = [median(values[drawn]) for drawn in _draws(len(values), rounds, seed)]
    return _percentiles(np.concatenate(medians))


def median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median along the last axis; the upper of the two in the middle where one is infinite."""
    ordered = np.sort(values, axis=-1)
    size = values.shape[-1]
    return np.asarray((ordered[..., (size - 1) // 2] + ordered[..., size // 2]) / 2)


def paired_test(differences: Matrix, seed: int, rounds: int = TEST_ROUNDS) -> tuple[Matrix, Matrix]:
    """Of differences (n queries, m metrics): the 95 % intervals (m, 2) of the means, and p (m,).

    p is two-sided, of Fisher's randomisation test: how often a mean at least as far from zero
    comes about when each query's difference has a random sign. Smucker, Allan and Carterette
    (2007), "A comparison of statistical significance tests for information retrieval
    evaluation".
    """
    queries, seen = len(differences), np.abs(differences.sum(axis=0))
    extreme = np.zeros(differences.shape[1])
    generator = np.random.default_rng(seed)
    for size in _sizes(queries, rounds):
        signs = generator.integers(0, 2, (size, queries), dtype=np.int8)
        sums = (2.0 * signs - 1.0) @ differences
        extreme += (np.abs(sums) >= seen - ROUNDING).sum(axis=0)
    return mean_intervals(differences, seed, rounds), (1 + extreme) / (1 + rounds)


def _percentiles(statistics: Matrix) -> Matrix:
    tail = (1 - CONFIDENCE) / 2
    # Of order statistics themselves: between a finite and an infinite one there is no value.
    return np.asarray(np.quantile(statistics, [tail, 1 - tail], axis=0, method="nearest"))


def _draws(queries: int, rounds: int, seed: int) -> Iterator[NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    for size in _sizes(queries, rounds):
        yield generator.integers(0, queries, (size, queries))


def _counts(queries: int, rounds: int, seed: int) -> Iterator[Matrix]:
    """How often each round drew each query."""
    for drawn in _draws(queries, rounds, seed):
        flat = drawn + queries * np.arange(len(drawn))[:, None]
        counted = np.bincount(flat.ravel(), minlength=drawn.size)
        yield counted.reshape(drawn.shape).astype(np.float64)


def _sizes(queries: int, rounds: int) -> Iterator[int]:
    size = max(1, CHUNK // queries)
    for start in range(0, rounds, size):
        yield min(size, rounds - start)
