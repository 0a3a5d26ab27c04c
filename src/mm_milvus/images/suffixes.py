"""The suffixes of image files, in lower case, and the check of a name for them."""

from __future__ import annotations

from pathlib import PurePosixPath

IMAGE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        *(".png", ".apng"),
        *(".webp", ".gif", ".bmp"),
        *(".tif", ".tiff"),
        *(".avif", ".avifs"),
        *(".heic", ".heics", ".heif", ".heifs", ".hif"),
        *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
        *(".pbm", ".pgm", ".ppm", ".pnm", ".pfm"),
    )
)
"""Those that Pillow registers for the formats that are decoded (`formats.FORMATS`), and those of
the HEIF plug-in; a test compares them with the registry."""


def has_image_suffix(path: str) -> bool:
    """Return whether the last suffix of a path is that of an image, in any letter case."""
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES
