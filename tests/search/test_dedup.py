"""Merging hits that show the same image into the best of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mm_milvus.search.dedup import NEAR_COSINE, merge_equal, merge_near
from mm_milvus.search.hits import Hit


def hits(count: int) -> list[Hit]:
    return [Hit(f"i{n}", f"/i{n}", score=-float(n)) for n in range(count)]


def unit_vectors(degrees: list[float]) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_the_best_hit_of_equal_contents_lists_the_others():
    merged = merge_equal(hits(5), ["x", "y", "x", "z", "x"])
    assert [(hit.item_id, hit.duplicates) for hit in merged] == [
        ("i0", ("i2", "i4")),
        ("i1", ()),
        ("i3", ()),
    ]


def test_near_images_join_the_best_hit_that_they_are_near_to():
    # A cosine of 0.97 is 14.07 degrees.
    merged = merge_near(hits(5), unit_vectors([0, 40, 10, 20, 35]))
    assert [(hit.item_id, hit.duplicates) for hit in merged] == [
        ("i0", ("i2",)),
        ("i1", ("i4",)),
        ("i3", ()),
    ]


@given(st.lists(st.integers(0, 359), max_size=20))
def test_kept_hits_are_not_near_to_each_other_and_no_hit_is_lost(degrees):
    before = hits(len(degrees))
    vectors = dict(zip([hit.item_id for hit in before], unit_vectors(degrees), strict=True))
    merged = merge_near(before, unit_vectors(degrees).reshape(-1, 2))
    kept = [hit.item_id for hit in merged]
    all_ids = kept + [item_id for hit in merged for item_id in hit.duplicates]
    assert sorted(all_ids) == sorted(vectors)
    assert [hit.score for hit in merged] == sorted((hit.score for hit in merged), reverse=True)
    for n, item_id in enumerate(kept):
        assert all(vectors[item_id] @ vectors[other] <= NEAR_COSINE for other in kept[:n])
    for hit in merged:
        assert all(vectors[hit.item_id] @ vectors[other] > NEAR_COSINE for other in hit.duplicates)
