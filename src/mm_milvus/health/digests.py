"""Sets of primary keys: 16 bytes each, 160 MB for ten million."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mm_milvus.embeddings.index import DIGEST

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


def is_in(digests: Digests, ordered: Digests) -> NDArray[np.bool_]:
    """For each digest whether it is in a sorted array."""
    if not len(ordered):
        return np.zeros(len(digests), bool)
    places = np.minimum(np.searchsorted(ordered, digests), len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[places] == digests
    return found
