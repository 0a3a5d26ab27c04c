"""The names and suffixes by which sources recognise files, in lower case.

Those of images are in `mm_milvus.images.suffixes`.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

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

NO_CAPTIONS = frozenset(
    {
        *("readme", "license", "licence", "notice", "copying", "credits", "attribution"),
        *("classes", "labels", "dataset_info", "dataset_infos"),
    }
)
"""Stems of text files that many datasets contain, and that are not captions of an image."""

DESCRIPTION_SUFFIXES = frozenset((*SIDECAR_SUFFIXES, ".md", ".rst", ""))
"""Suffixes of text files about the whole dataset; they are neither read nor counted."""

_STATISTICS = re.compile(r"\d+_stats")
"""The stem of the statistics that img2dataset writes next to each shard."""


def is_description(name: str) -> bool:
    """Return whether a file is a text about the whole dataset, as `LICENSE-MIT` is."""
    suffix = PurePosixPath(name).suffix
    stem = name[: len(name) - len(suffix)]
    names = (stem.lower(), stem.lower().split("-")[0])
    return suffix.lower() in DESCRIPTION_SUFFIXES and (
        not NO_CAPTIONS.isdisjoint(names) or _STATISTICS.fullmatch(stem) is not None
    )


def kind_of(name: str) -> str:
    """Return what a file is counted as where it is not read: its suffix."""
    return PurePosixPath(name).suffix.lower() or "without a suffix"
