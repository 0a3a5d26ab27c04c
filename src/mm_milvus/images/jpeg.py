"""What only JPEG has: pictures in many scans, and decoding at a part of the size."""

from __future__ import annotations

from PIL.ImageFile import ImageFile

from mm_milvus.errors import ImageError

START, SCAN = b"\xff\xd8\xff", b"\xff\xda"

MAX_SCANS = 100
"""Encoders write about ten. Each goes over the whole picture, 0.1 s for 170 megapixels, and takes
a few bytes where it is empty: a file of 64 MB could keep a decoder busy for hours."""


def check_scans(data: bytes) -> None:
    """Raise `ImageError` when a JPEG file has too many scans."""
    # No picture data contains the marker: JPEG writes a zero after each ff of it.
    count = data.count(SCAN) if data.startswith(START) else 0
    if count > MAX_SCANS:
        raise ImageError(f"has {count:,} scans, over the limit of {MAX_SCANS}")


def scale_down(image: ImageFile, at_least: int | None) -> tuple[float, float] | None:
    """Let a JPEG be decoded smaller; then, the picture's width and height in what that gives."""
    drafted = image.draft(None, (at_least, at_least)) if at_least else None
    return drafted[1][2:] if drafted else None
