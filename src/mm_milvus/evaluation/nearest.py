"""Exact nearest neighbours, computed in blocks: memory does not grow with the collection.

A score and a document's number are packed into one integer key, so that the best are found by one
partition, and equal scores are ordered by number, on any machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors
from mm_milvus.search.fusion import SCORE_DECIMALS

Keys = NDArray[np.int64]
"""Rounded scores in the high bits, inverted document numbers in the low bits: larger is better."""

SCALE = 10**SCORE_DECIMALS
"""Scores are rounded as a search rounds them, so that equal vectors tie."""

BITS = 40
LAST = (1 << BITS) - 1
MISSING = np.iinfo(np.int64).min
"""Key of a document without a score."""

BLOCK_ROWS = 4096
BLOCK_QUERIES = 512


def pack(scores: NDArray[np.floating], numbers: NDArray[np.int64]) -> Keys:
    """Return the keys of scores (..., n) of the documents `numbers` (n,); `MISSING` for NaN."""
    missing = np.isnan(scores)
    rounded = np.rint(np.where(missing, 0, scores).astype(np.float64) * SCALE).astype(np.int64)
    keys = rounded * (1 << BITS) + (LAST - numbers)
    return np.where(missing, MISSING, keys)


def numbers_of(keys: Keys) -> NDArray[np.int64]:
    """Return the document numbers of keys."""
    return LAST - (keys & LAST)


def scores_of(keys: Keys) -> NDArray[np.float64]:
    """Return the rounded scores of keys."""
    return np.asarray((keys >> BITS) / SCALE, dtype=np.float64)


def best(keys: Keys, count: int) -> Keys:
    """Return the `count` best keys along the last axis, best first; all where there are fewer."""
    if keys.shape[-1] > count:
        keys = np.partition(keys, keys.shape[-1] - count, axis=-1)[..., -count:]
    return np.sort(keys, axis=-1)[..., ::-1]


def first_per_document(keys: Keys) -> Keys:
    """Return the best key of each document, given keys (n,) best first."""
    _, first = np.unique(numbers_of(keys), return_index=True)
    return keys[np.sort(first)]


def nearest(queries: Vectors, vectors: Vectors, rows: NDArray[np.int64], count: int) -> list[Keys]:
    """Find the nearest documents of each query, by inner product.

    Args:
        queries: float32 (q, dim).
        vectors: Stored vectors: float32 (n, dim).
        rows: Per document number, the row of its vector.
        count: Number of documents per query.

    Returns:
        Per query the keys of its nearest documents, best first.
    """
    # In double precision equal vectors have equal scores, wherever they lie in memory.
    exact = queries.astype(np.float64)
    result = [np.empty((len(queries), 0), dtype=np.int64)]
    for start in range(0, len(rows), BLOCK_ROWS):
        numbers = np.arange(start, min(start + BLOCK_ROWS, len(rows)))
        block = vectors[rows[numbers]].T.astype(np.float64)
        parts = [
            best(pack(exact[first : first + BLOCK_QUERIES] @ block, numbers), count)
            for first in range(0, len(queries), BLOCK_QUERIES)
        ]
        result = [best(np.concatenate([*result, np.concatenate(parts)], axis=1), count)]
    return list(result[0])
