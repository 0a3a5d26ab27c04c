"""Samples, intervals and tests, where the right answer is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mm_milvus.evaluation.sampling import (
    mean_intervals,
    median,
    median_interval,
    paired_test,
    sample_numbers,
)


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation():
    values = np.random.default_rng(1).normal(3, 2, (500, 1))
    [[low, high]] = mean_intervals(values, seed=0, rounds=4000)
    error = 1.96 * values.std() / math.sqrt(500)
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.03)


def test_intervals_cover_the_true_mean_in_95_percent_of_the_cases():
    generator = np.random.default_rng(2)
    samples = generator.exponential(1, (60, 400))
    bounds = mean_intervals(samples, seed=3)
    covered = ((bounds[:, 0] <= 1) & (bounds[:, 1] >= 1)).mean()
    assert 0.88 <= covered <= 0.98


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(1).random((40, 3))
    assert (mean_intervals(values, 5) == mean_intervals(values, 5)).all()
    assert (mean_intervals(values, 5) != mean_intervals(values, 6)).any()


def test_medians_may_lie_beyond_the_depth():
    assert median(np.array([1.0, 2, 3, 4])) == 2.5
    assert median(np.array([1.0, 2, math.inf])) == 2
    assert median(np.array([1.0, math.inf, math.inf])) == math.inf
    low, high = median_interval(np.array([1.0] * 9 + [math.inf] * 8), seed=0)
    assert (low, high) == (1, math.inf)


def test_p_equals_that_of_enumerating_all_signs():
    differences = np.array([0.3, 0.1, -0.2, 0.5, 0.4, 0.2, 0.1, -0.1])
    sums = [np.dot(s, differences) for s in itertools.product((-1, 1), repeat=len(differences))]
    exact = np.mean(np.abs(sums) >= abs(differences.sum()) - 1e-12)
    _, [p] = paired_test(differences[:, None], seed=0)
    assert p == pytest.approx(exact, abs=0.01)


def test_no_difference_is_not_significant():
    bounds, p = paired_test(np.zeros((30, 2)), seed=0, rounds=200)
    assert p.tolist() == [1, 1]
    assert (bounds == 0).all()


def test_p_is_uniform_without_a_difference():
    """A test at 5 % is wrong in about 5 % of the cases without a difference."""
    differences = np.random.default_rng(4).normal(size=(40, 600))
    _, p = paired_test(differences, seed=1, rounds=1000)
    assert 0.02 <= (p < 0.05).mean() <= 0.09


def test_a_sample_has_no_repeats_and_all_numbers_where_there_are_no_more():
    assert sample_numbers(3, 3, 0) == [0, 1, 2]
    assert len(set(sample_numbers(100, 10, 0))) == 10
