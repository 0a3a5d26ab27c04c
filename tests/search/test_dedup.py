"""Merging hits that show the same image into the best of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mm_milvus.search.dedup import NEAR_COSINE, equal_leaders, near_leaders


def unit_vectors(degrees: list[float]) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_equal_contents_have_the_first_of_them_as_leader():
    assert equal_leaders(["x", "y", "x", "z", "x"]) == [0, 1, 0, 3, 0]


def test_near_images_join_the_first_leader_that_they_are_near_to():
    # A cosine of 0.97 is 14.07 degrees.
    assert near_leaders(unit_vectors([0, 40, 10, 20, 35])) == [0, 1, 0, 3, 1]


@given(st.lists(st.integers(0, 359), max_size=20))
def test_leaders_are_not_near_to_each_other_and_their_followers_are(degrees):
    vectors = unit_vectors(degrees).reshape(-1, 2)
    leaders = near_leaders(vectors)
    kept = [n for n, leader in enumerate(leaders) if leader == n]
    for number, leader in enumerate(leaders):
        assert leader in kept
        near = [n for n in kept if n < number and vectors[n] @ vectors[number] > NEAR_COSINE]
        assert leader == (near[0] if near else number)
