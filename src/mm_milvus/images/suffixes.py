"""The suffixes of image files, in lower case; without imports, as sources need them early."""

from __future__ import annotations

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
