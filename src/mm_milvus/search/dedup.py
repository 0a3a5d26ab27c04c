"""Which images of a ranking show the same as a better one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

NEAR_COSINE = 0.97
"""Images with a cosine above this are near duplicates."""


def equal_leaders(contents: Sequence[Hashable]) -> list[int]:
    """Return the first position of each content.

    Args:
        contents: What to compare, best first.

    Returns:
        Per position that of its leader, the first one of equal content; the own one if it is that.
    """
    first: dict[Hashable, int] = {}
    return [first.setdefault(content, n) for n, content in enumerate(contents)]


def near_leaders(vectors: NDArray[np.float32]) -> list[int]:
    """Return for each image the first better one that it is a near duplicate of.

    Best first, an image joins the first leader with a cosine above `NEAR_COSINE`, or becomes a
    leader: all images of a group are near to the one that represents them.

    Args:
        vectors: Image vectors, best first: float32 (n, dim), unit rows.

    Returns:
        Per position that of its leader; the own one if it is a leader.
    """
    leaders = np.empty_like(vectors)
    positions: list[int] = []
    joined = []
    for number, vector in enumerate(vectors):
        near = leaders[: len(positions)] @ vector > NEAR_COSINE
        first = int(near.argmax()) if near.any() else -1
        if first >= 0:
            joined.append(positions[first])
            continue
        leaders[len(positions)] = vector
        positions.append(number)
        joined.append(number)
    return joined
