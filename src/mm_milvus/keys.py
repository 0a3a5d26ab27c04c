"""Primary keys and content hashes: BLAKE2b (RFC 7693) with a digest of 128 bits.

A key is 32 hex digits. Sets of keys are sorted numpy arrays of 16 bytes per key: 160 MB for ten
million.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16
ID_DIGITS = 2 * DIGEST_BYTES

_FORM = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")

DIGEST = np.dtype((np.void, DIGEST_BYTES))

Keys = NDArray[np.void]
"""Primary keys as an array: (n,) of `DIGEST`."""


def image_key(item_id: str) -> str:
    """Return the primary key of an item's row in the image collection: 32 hex digits."""
    return blake2b(item_id.encode(), digest_size=DIGEST_BYTES).hexdigest()


def caption_key(item_id: str, number: int) -> str:
    """Return the primary key of the item's caption `number` (from 0) in the text collection."""
    salt = (number + 1).to_bytes(blake2b.SALT_SIZE, "little")
    return blake2b(item_id.encode(), digest_size=DIGEST_BYTES, salt=salt).hexdigest()


def content_hash(content: bytes | str) -> str:
    """Return the hash of an image file or of a caption's UTF-8 text: 32 hex digits."""
    data = content.encode() if isinstance(content, str) else content
    return blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def is_key(text: str) -> bool:
    """Return whether a text has the form of a key or of a content hash: 32 hex digits."""
    return _FORM.fullmatch(text) is not None


def pack_keys(keys: Iterable[str]) -> bytes:
    """Return the keys as bytes, 16 per key."""
    return bytes.fromhex("".join(keys))


def unpack_keys(keys: Keys) -> list[str]:
    """Return the keys as 32 hex digits each."""
    return [key.tobytes().hex() for key in keys]


def key_array(packed: bytes | bytearray) -> Keys:
    """Return the bytes that `pack_keys` made as an array of (n,)."""
    return np.frombuffer(bytes(packed), DIGEST)


def find_keys(keys: Keys, ordered: Keys) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Look keys up in a sorted array.

    Args:
        keys: (n,), in any order.
        ordered: (m,), sorted.

    Returns:
        Positions in `ordered`, (n,), and whether each key is there, (n,). A position is undefined
        where its key is not there.
    """
    if not len(ordered):
        return np.zeros(len(keys), np.intp), np.zeros(len(keys), bool)
    positions = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    return positions, np.asarray(ordered[positions] == keys)


def contains(keys: Keys, ordered: Keys) -> NDArray[np.bool_]:
    """Return for each key whether a sorted array has it: (n,)."""
    _, is_found = find_keys(keys, ordered)
    return is_found
