"""Sets of primary keys: 16 bytes each, 160 MB for ten million."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mm_milvus.keys import DIGEST_BYTES

DIGEST = np.dtype((np.void, DIGEST_BYTES))

Digests = NDArray[np.void]


def pack(keys: Iterable[str]) -> bytes:
    """Primary keys, 32 hex digits each, as bytes."""
    return bytes.fromhex("".join(keys))


def unpack(digests: Digests) -> list[str]:
    """Primary keys as 32 hex digits each."""
    return [digest.tobytes().hex() for digest in digests]


def array(data: bytes | bytearray) -> Digests:
    """What `pack` made, as an array of (n,)."""
    return np.frombuffer(bytes(data), DIGEST)


def find(digests: Digests, ordered: Digests) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """For each digest its place in a sorted array, and whether it is there.

    The place of one that is not there means nothing.
    """
    if not len(ordered):
        return np.zeros(len(digests), np.intp), np.zeros(len(digests), bool)
    places = np.minimum(np.searchsorted(ordered, digests), len(ordered) - 1)
    return places, np.asarray(ordered[places] == digests)


def is_in(digests: Digests, ordered: Digests) -> NDArray[np.bool_]:
    """For each digest whether it is in a sorted array."""
    _, found = find(digests, ordered)
    return found
