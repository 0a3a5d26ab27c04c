"""The suffixes of file names by which sources recognise files, in lower case."""

from __future__ import annotations

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")
)
"""Images in folders."""

SHARD_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""Images in tar shards."""

SIDECAR_SUFFIXES = (".txt", ".json")
"""Captions and metadata in a file next to an image, with the same stem."""

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".ipc")

SHARD_SUFFIXES = (".tar", ".tar.gz", ".tgz")
