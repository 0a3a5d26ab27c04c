"""The pictures that ship with the package."""

from __future__ import annotations

from pathlib import Path

from mm_milvus.errors import SourceError

IN_PACKAGE = Path(__file__).parent / "examples" / "emoji"
IN_REPOSITORY = Path(__file__).parents[2] / "examples" / "emoji"


def example_pictures() -> Path:
    """The folder of the bundled example: metadata.jsonl and images/*.png; raises SourceError."""
    for place in (IN_PACKAGE, IN_REPOSITORY):
        if place.is_dir():
            return place
    raise SourceError(
        "the example pictures are not installed: install mm-milvus from its wheel, "
        "or work in a clone of the repository"
    )
