"""The suffixes of file names by which sources recognise files, in lower case.

Those of images are in `mm_milvus.images.suffixes`.
"""

from __future__ import annotations

CAPTION_SUFFIXES = (".txt", ".text", ".caption", ".captions")
"""Text with one caption per line, in a file next to an image."""

SIDECAR_SUFFIXES = (*CAPTION_SUFFIXES, ".json")
"""Captions and metadata in a file next to an image, with the same stem."""

TABLE_SUFFIXES = (
    *(".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json"),
    *(".parquet", ".arrow", ".feather", ".ipc"),
)
"""Tables; `.txt` and `.json` are tables where they are given themselves."""

ZSTD_SHARD_SUFFIXES = (".tar.zst", ".tzst")

SHARD_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", *ZSTD_SHARD_SUFFIXES)
