"""Complete JPEG files that lack their end."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import JpegImagePlugin

END = b"\xff\xd9"

FILLER = bytes(np.random.default_rng(0).integers(0, 255, 4096, dtype=np.uint8))
"""Random picture data, without the byte ff that begins a marker."""

MAX_MISSING_ROWS = 16
MAX_MISSING_SHARE = 0.05
MAX_CHANGED_SHARE = 0.25
"""What may be missing: the last row of blocks (16 pixels), or one twentieth of the height where
that is more; and never more than a quarter of the picture."""


def completed_jpeg(data: bytes) -> bytes | None:
    """Complete a truncated JPEG file, if it lacks only its end marker or its last bytes.

    How much is missing is measured: the file is decoded with an end marker appended, which makes
    the decoder fill in what is missing, and again with random data before the marker. A complete
    picture ignores the random data; any other one differs from where it ends. Pillow's own setting
    for truncated files is not used: it is global, and accepts a file that is half empty.

    Args:
        data: A JPEG file that Pillow calls truncated.

    Returns:
        The file with an end marker; None where more is missing.
    """
    data = data.rstrip(b"\xff")
    scans = list(_scans(data))
    if not _are_complete(scans):
        return None
    # A sequential JPEG shows a wrong block at an eighth of its size, where decoding is cheap.
    eighth = not any(start or low for _, start, _, low in scans)
    filled, noisy = (_greys(data + tail + END, eighth) for tail in (b"", FILLER))
    changed = filled != noisy
    if not changed.any():
        return data + END
    height = changed.shape[0]
    rows = height - int(changed.any(axis=1).argmax())
    allowed = max(MAX_MISSING_ROWS // (8 if eighth else 1), height * MAX_MISSING_SHARE)
    if rows > allowed or changed.mean() > MAX_CHANGED_SHARE:
        return None
    return data + END


def _greys(data: bytes, eighth: bool) -> NDArray[np.uint8]:
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data), "")
    image.draft("L", (1, 1) if eighth else image.size)
    return np.asarray(image.convert("L"))


def _are_complete(scans: list[tuple[tuple[int, ...], int, int, int]]) -> bool:
    """Return whether the scans give every coefficient of every component all of its bits."""
    precision: dict[tuple[int, int], int] = {}
    components: set[int] = set()
    for selected, start, end, low in scans:
        components.update(selected)
        for component in selected:
            for position in range(start, end + 1):
                precision[component, position] = low
    return bool(components) and all(
        precision.get((component, position)) == 0
        for component in components
        for position in range(64)
    )


def _scans(data: bytes) -> Iterator[tuple[tuple[int, ...], int, int, int]]:
    """Yield (components, first and last coefficient, missing low bits) of each scan's header."""
    position = 2
    while position + 4 <= len(data):
        marker, length = data[position : position + 2], int.from_bytes(data[position + 2 :][:2])
        body = data[position + 4 : position + 2 + length]
        position += 2 + length
        if marker == b"\xff\xda" and body and len(body) >= 4 + 2 * body[0]:
            count = body[0]
            start, end, bits = body[1 + 2 * count : 4 + 2 * count]
            yield tuple(body[1 : 1 + 2 * count : 2]), start, end, bits & 15
            position = _next_marker(data, position)


def _next_marker(data: bytes, position: int) -> int:
    """Return where the picture data from a position ends: at a marker that is no restart."""
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            return len(data)
        if data[position + 1] not in (0, 0xFF) and not 0xD0 <= data[position + 1] <= 0xD7:
            return position
        position += 1 if data[position + 1] == 0xFF else 2
