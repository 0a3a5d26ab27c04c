"""Merge hits that show the same image: the best of them stays and lists the others."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mm_milvus.search.hits import Hit

NEAR_COSINE = 0.97
"""Images with a cosine above this are near duplicates."""


def merge_equal(hits: Sequence[Hit], contents: Sequence[Hashable]) -> list[Hit]:
    """Keep the best hit per content.

    Args:
        hits: Best first.
        contents: What to compare, one per hit.

    Returns:
        The kept hits in order, with the item_ids of the others as `duplicates`.
    """
    first: dict[Hashable, int] = {}
    return _merge(hits, [first.setdefault(content, n) for n, content in enumerate(contents)])


def merge_near(hits: Sequence[Hit], vectors: NDArray[np.float32]) -> list[Hit]:
    """Keep the best hit per group of near-duplicate images.

    Best first, a hit joins the first kept hit with a cosine above `NEAR_COSINE`, or is kept: all
    members of a group are near to the hit that represents them.

    Args:
        hits: Best first.
        vectors: Image vectors of the hits: float32 (n, dim), unit rows.

    Returns:
        The kept hits in order, with the item_ids of the others as `duplicates`.
    """
    near = vectors @ vectors.T > NEAR_COSINE
    leaders: list[int] = []
    for number in range(len(hits)):
        kept = (leader for leader in range(number) if leaders[leader] == leader)
        leaders.append(next((leader for leader in kept if near[leader, number]), number))
    return _merge(hits, leaders)


def _merge(hits: Sequence[Hit], leaders: Sequence[int]) -> list[Hit]:
    """Merge each hit into its leader; a hit that is its own leader is kept."""
    followers: dict[int, list[str]] = {}
    for number, leader in enumerate(leaders):
        group = followers.setdefault(leader, [])
        if number != leader:
            group.append(hits[number].item_id)
    return [
        replace(hits[leader], duplicates=(*hits[leader].duplicates, *group))
        for leader, group in followers.items()
    ]
