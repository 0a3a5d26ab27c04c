"""Hits that show the same: one stands for all of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mm_milvus.search.hits import Hit

DEDUP_MODES = ("item", "content", "near")
"""item: each item once, always so; content: each image file once; near: images whose vectors have
a cosine above `NEAR` once."""

NEAR = 0.97


def merge_equal(hits: Sequence[Hit], contents: Sequence[Hashable]) -> list[Hit]:
    """The best hit of each content, in order, with the others as its duplicates."""
    leaders: dict[Hashable, int] = {}
    return _merged(hits, [leaders.setdefault(content, n) for n, content in enumerate(contents)])


def merge_near(hits: Sequence[Hit], vectors: NDArray[np.float32]) -> list[Hit]:
    """The best hit of each cluster, in order, with the others as its duplicates.

    vectors  unit rows (n, dim), a hit each

    Best first, a hit joins the first one kept before it that is nearer than `NEAR`, else it is
    kept: all of a cluster are near to the hit that stands for them.
    """
    near = vectors @ vectors.T > NEAR
    leaders: list[int] = []
    for number in range(len(hits)):
        kept = (leader for leader in range(number) if leaders[leader] == leader)
        leaders.append(next((leader for leader in kept if near[leader, number]), number))
    return _merged(hits, leaders)


def _merged(hits: Sequence[Hit], leaders: Sequence[int]) -> list[Hit]:
    """leaders: for each hit the number of the one that stands for it, its own where it is kept."""
    followers: dict[int, list[str]] = {}
    for number, leader in enumerate(leaders):
        own = followers.setdefault(leader, [])
        if number != leader:
            own.append(hits[number].item_id)
    return [
        replace(hits[leader], duplicates=(*hits[leader].duplicates, *own))
        for leader, own in followers.items()
    ]
