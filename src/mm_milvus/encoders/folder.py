"""The folders of models that we write: what kind of model is in one."""

from __future__ import annotations

import json
from pathlib import Path

from mm_milvus.errors import EncoderError
from mm_milvus.text import first_line

CONFIG = "mm_milvus.json"

DUAL = "dual"
"""A projection over two towers, as `mm-milvus train` learns it."""

EXPORTED = "exported"
"""Graphs for a runtime, as `mm-milvus export` writes them."""


def kind_of(name: str, folder: Path) -> str | None:
    """The kind of the model in a folder; None where it is none of ours. Raises EncoderError."""
    path = folder / CONFIG
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(
            f"{name}: {CONFIG} is broken ({type(error).__name__}: {first_line(error)}); "
            "train or export the model again"
        ) from error
