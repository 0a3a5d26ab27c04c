"""Samples of queries, bootstrap confidence intervals, and a significance test of two systems."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

CONFIDENCE = 0.95
INTERVAL_ROUNDS = 1000
TEST_ROUNDS = 10_000
CHUNK = 4_000_000
"""Random numbers per block, which bounds the memory."""

ROUNDING = 1e-12
"""Upper bound on the difference between sums of the same numbers in different orders."""


def sample_numbers(count: int, sample: int, seed: int) -> list[int]:
    """Return the numbers 0 to `count` - 1, or a random sample of them without repeats, sorted."""
    if count <= sample:
        return list(range(count))
    generator = np.random.default_rng(seed)
    return sorted(generator.choice(count, sample, replace=False).tolist())


def mean_intervals(values: Matrix, seed: int, rounds: int = INTERVAL_ROUNDS) -> Matrix:
    """Compute confidence intervals of means by percentile bootstrap over the queries.

    Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13.

    Args:
        values: float64 (n queries, m metrics).
        seed: Seed of the random draws.
        rounds: Number of bootstrap samples.

    Returns:
        The 95 % interval of each metric's mean: float64 (m, 2).
    """
    means = [counts @ values / len(values) for counts in _counts(len(values), rounds, seed)]
    return _percentiles(np.concatenate(means)).T


def median_interval(
    values: NDArray[np.float64], seed: int, rounds: int = INTERVAL_ROUNDS
) -> Matrix:
    """Compute the 95 % interval (2,) of the median of values (n,), which may be infinite."""
    medians = [median(values[drawn]) for drawn in _draws(len(values), rounds, seed)]
    return _percentiles(np.concatenate(medians))


def median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median along the last axis; infinite where one of the two middle values is."""
    ordered = np.sort(values, axis=-1)
    size = values.shape[-1]
    return np.asarray((ordered[..., (size - 1) // 2] + ordered[..., size // 2]) / 2)


def paired_test(differences: Matrix, seed: int, rounds: int = TEST_ROUNDS) -> tuple[Matrix, Matrix]:
    """Test whether the mean differences between two systems are zero.

    p is two-sided, of Fisher's randomisation test: how often a mean at least as far from zero
    occurs when each query's difference has a random sign. Smucker, Allan and Carterette (2007), "A
    comparison of statistical significance tests for information retrieval evaluation".

    Args:
        differences: Per query and metric: float64 (n, m).
        seed: Seed of the random draws.
        rounds: Number of random draws.

    Returns:
        The 95 % intervals of the means: float64 (m, 2), and p: float64 (m,).
    """
    queries, observed = len(differences), np.abs(differences.sum(axis=0))
    extreme = np.zeros(differences.shape[1])
    generator = np.random.default_rng(seed)
    for size in _sizes(queries, rounds):
        signs = generator.integers(0, 2, (size, queries), dtype=np.int8)
        sums = (2.0 * signs - 1.0) @ differences
        extreme += (np.abs(sums) >= observed - ROUNDING).sum(axis=0)
    return mean_intervals(differences, seed, rounds), (1 + extreme) / (1 + rounds)


def _percentiles(statistics: Matrix) -> Matrix:
    tail = (1 - CONFIDENCE) / 2
    # No interpolation: between a finite and an infinite order statistic there is no value.
    return np.asarray(np.quantile(statistics, [tail, 1 - tail], axis=0, method="nearest"))


def _draws(queries: int, rounds: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield, in blocks, the numbers of the queries that each round draws: (rounds, queries)."""
    generator = np.random.default_rng(seed)
    for size in _sizes(queries, rounds):
        yield generator.integers(0, queries, (size, queries))


def _counts(queries: int, rounds: int, seed: int) -> Iterator[Matrix]:
    """Yield, in blocks, how often each round draws each query: (rounds, queries)."""
    for drawn in _draws(queries, rounds, seed):
        flat = drawn + queries * np.arange(len(drawn))[:, None]
        counts = np.bincount(flat.ravel(), minlength=drawn.size)
        yield counts.reshape(drawn.shape).astype(np.float64)


def _sizes(queries: int, rounds: int) -> Iterator[int]:
    """Yield the rounds of each block."""
    size = max(1, CHUNK // queries)
    for start in range(0, rounds, size):
        yield min(size, rounds - start)
