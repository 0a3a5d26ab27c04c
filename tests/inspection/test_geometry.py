"""The numbers of an inspection, on cases that can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_milvus.inspection.clusters import best_clusters
from mm_milvus.inspection.geometry import (
    effective_dimensions,
    mean_similarity,
    modality_gap,
    other_pair_similarity,
    pair_similarities,
    principal_axes,
    silhouettes,
)
from mm_milvus.inspection.neighbours import connected, find_neighbours, find_outliers

X, Y, Z = np.eye(3, dtype=np.float32)


def unit(count: int, seed: int, dim: int = 6) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_modality_gap_is_the_distance_of_the_centroids():
    assert modality_gap(np.stack([X, X]), np.stack([-X])) == 2
    assert modality_gap(np.stack([X, Y]), np.stack([Y, X])) == 0


def test_mean_similarity_leaves_out_the_pair_of_a_row_with_itself():
    assert mean_similarity(np.stack([X, Y])) == 0
    assert mean_similarity(np.stack([X, X, Y])) == pytest.approx(1 / 3)


def test_effective_dimensions_count_the_directions_of_equal_variance():
    assert effective_dimensions(np.stack([X, -X])) == pytest.approx(1)
    assert effective_dimensions(np.stack([X, -X, Y, -Y])) == pytest.approx(2)
    assert effective_dimensions(np.stack([X, X])) == 0


def test_true_and_other_pairs_are_distinguished():
    images, texts = np.stack([X, Y]), np.stack([X, Y])
    pairs = np.asarray([[0, 0], [1, 1]])
    assert pair_similarities(images, texts, pairs).tolist() == [1, 1]
    assert other_pair_similarity(images, texts, pairs) == 0


def test_a_silhouette_equals_the_one_from_all_distances():
    vectors, groups = unit(20, 0), np.arange(20) % 3
    distances = 1 - vectors.astype(np.float64) @ vectors.T
    for row, value in enumerate(silhouettes(vectors, groups)):
        means = [distances[row, groups == group].mean() for group in range(3)]
        inside = distances[row, groups == groups[row]].sum() / ((groups == groups[row]).sum() - 1)
        outside = min(mean for group, mean in enumerate(means) if group != groups[row])
        expected = (outside - inside) / max(inside, outside)
        assert value == pytest.approx(expected, abs=1e-5)


def test_the_silhouette_of_a_row_alone_in_its_group_is_zero():
    assert silhouettes(np.stack([X, X, Y]), np.asarray([0, 0, 1])).tolist() == [1, 1, 0]


def test_the_axes_are_those_of_most_variance():
    vectors = np.stack([2 * X, -2 * X, Y, -Y])
    assert np.abs(principal_axes(vectors)).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_clusters_of_separated_rows_are_found():
    near = 0.05 * unit(30, 1, 3)
    vectors = np.repeat([X, Y, Z], 10, axis=0) + near
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = best_clusters(vectors)
    assert [len(set(groups[start : start + 10])) for start in (0, 10, 20)] == [1, 1, 1]
    assert len(set(groups)) == 3
    assert best_clusters(np.stack([X, X, X])).tolist() == [0, 0, 0]


def test_near_duplicates_are_linked_through_one_another():
    angles = np.radians([0, 10, 20, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    neighbours = find_neighbours(vectors, threshold=0.97)
    assert neighbours.duplicates == [[0, 1, 2]]
    assert neighbours.nearness[3] == pytest.approx(
        np.cos(np.radians([70, 80, 90])).mean(), abs=1e-6
    )
    assert connected([(3, 4), (7, 8), (8, 9)]) == [[7, 8, 9], [3, 4]]


def test_an_outlier_lies_far_below_the_median():
    nearness = np.asarray([0.8, 0.82, 0.79, 0.81, 0.1, 0.3])
    assert find_outliers(nearness) == [4, 5]
    assert find_outliers(np.asarray([])) == []


@given(st.integers(2, 30), st.integers(0, 1000))
def test_sums_equal_the_means_over_all_pairs(count, seed):
    vectors = unit(count, seed)
    cosines = vectors.astype(np.float64) @ vectors.T
    assert mean_similarity(vectors) == pytest.approx(
        cosines[~np.eye(count, dtype=bool)].mean(), abs=1e-5
    )
    assert 0 <= modality_gap(vectors, unit(count, seed + 1)) <= 2
    assert 0 < effective_dimensions(vectors) <= 6 + 1e-4
