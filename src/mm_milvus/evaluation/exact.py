"""The exact ranking, in blocks: the memory does not grow with the collection.

A score and a document's number are packed into one integer, so that the best are found by one
partition and equal scores come in the order of the numbers, on any machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]
"""Rounded scores above, inverted document numbers below: the larger, the better."""

DECIMALS = 6
SCALE = 10**DECIMALS
"""Scores are rounded as a search does, so that equal vectors tie."""

BITS = 40
LAST = (1 << BITS) - 1
NOTHING = np.iinfo(np.int64).min
"""The key of a place that no document has."""

BLOCK_ROWS = 4096
BLOCK_QUERIES = 512


def pack(scores: NDArray[np.floating], numbers: NDArray[np.int64]) -> Keys:
    """The keys of scores (..., n) of the documents `numbers` (n,); of NaN, `NOTHING`."""
    missing = np.isnan(scores)
    rounded = np.rint(np.where(missing, 0, scores).astype(np.float64) * SCALE).astype(np.int64)
    keys = rounded * (1 << BITS) + (LAST - numbers)
    return np.where(missing, NOTHING, keys)


def numbers_of(keys: Keys) -> NDArray[np.int64]:
    """The documents' numbers of keys."""
    return LAST - (keys & LAST)


def scores_of(keys: Keys) -> NDArray[np.float64]:
    """The rounded scores of keys."""
    return np.asarray((keys >> BITS) / SCALE, dtype=np.float64)


def best(keys: Keys, count: int) -> Keys:
    """The `count` best keys along the last axis of (..., n), best first; fewer where n is less."""
    if keys.shape[-1] > count:
        keys = np.partition(keys, keys.shape[-1] - count, axis=-1)[..., -count:]
    return np.sort(keys, axis=-1)[..., ::-1]


def nearest(
    queries: NDArray[np.float32],
    vectors: NDArray[np.float32],
    rows: NDArray[np.int64],
    count: int,
) -> list[Keys]:
    """For each query of (q, dim) the keys of its nearest documents, best first.

    rows  of each document, by its number, the row of vectors (n, dim)
    """
    # In double precision equal vectors score alike, wherever they lie.
    asked = queries.astype(np.float64)
    found = [np.empty((len(queries), 0), dtype=np.int64)]
    for start in range(0, len(rows), BLOCK_ROWS):
        numbers = np.arange(start, min(start + BLOCK_ROWS, len(rows)))
        block = vectors[rows[numbers]].T.astype(np.float64)
        parts = [
            best(pack(asked[first : first + BLOCK_QUERIES] @ block, numbers), count)
            for first in range(0, len(queries), BLOCK_QUERIES)
        ]
        found = [best(np.concatenate([*found, np.concatenate(parts)], axis=1), count)]
    return list(found[0])
