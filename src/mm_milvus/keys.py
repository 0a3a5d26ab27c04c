"""Primary keys and content hashes: BLAKE2b (RFC 7693) with a digest of 128 bits, as hex."""

from __future__ import annotations

from hashlib import blake2b

DIGEST_BYTES = 16
ID_DIGITS = 2 * DIGEST_BYTES


def image_key(item_id: str) -> str:
    """The primary key of an item's row in the image collection: 32 hex digits."""
    return blake2b(item_id.encode(), digest_size=DIGEST_BYTES).hexdigest()


def caption_key(item_id: str, number: int) -> str:
    """The primary key of the item's caption `number` (from 0) in the text collection."""
    salt = (number + 1).to_bytes(blake2b.SALT_SIZE, "little")
    return blake2b(item_id.encode(), digest_size=DIGEST_BYTES, salt=salt).hexdigest()


def content_hash(content: bytes | str) -> str:
    """The hash of an image's file or of a caption's UTF-8 text: 32 hex digits."""
    data = content.encode() if isinstance(content, str) else content
    return blake2b(data, digest_size=DIGEST_BYTES).hexdigest()
