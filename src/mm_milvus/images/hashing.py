"""The hash of an image file, by which unchanged images are recognised."""

from __future__ import annotations

from mm_milvus.images.options import DecodeOptions
from mm_milvus.keys import content_hash

JPEG = b"\xff\xd8"
"""The first bytes of every JPEG file; it has 8 bits."""


def image_hash(data: bytes, options: DecodeOptions) -> str:
    """Return the hash of an image file, 32 hex digits; equal hashes mean equal pixels.

    Args:
        data: The file.
        options: How it is decoded. `stretch_16bit` changes the pixels of some files, and so the
            hash of all that may be among them.
    """
    digest = content_hash(data)
    changes = options.stretch_16bit and not data.startswith(JPEG)
    return content_hash(f"{digest} stretched") if changes else digest
