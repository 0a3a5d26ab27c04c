"""Options of decoding."""

from __future__ import annotations

from dataclasses import dataclass

from mm_milvus.keys import content_hash

JPEG = b"\xff\xd8"
"""The first bytes of every JPEG file; it has 8 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeOptions:
    """How image files are decoded where a file leaves a choice.

    Attributes:
        stretch_16bit: Treat a 16-bit picture whose values all fit into 10, 12 or 14 bits as one of
            that depth, as cameras and scanners write them. It applies to grey pictures, and to
            RGB in PNG and TIFF; not to pictures with an alpha channel.
        lenient: Accept a JPEG file that lacks its end marker or its last few bytes; what is
            missing is filled in by the decoder.
    """

    stretch_16bit: bool = False
    lenient: bool = False


DEFAULTS = DecodeOptions()


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
