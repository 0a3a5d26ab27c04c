"""The example dataset that comes with the package."""

from __future__ import annotations

from pathlib import Path

from mm_milvus.errors import SourceError

IN_PACKAGE = Path(__file__).parent / "examples" / "emoji"
IN_REPOSITORY = Path(__file__).parents[2] / "examples" / "emoji"


def example_pictures() -> Path:
    """Return the folder of the example dataset: `metadata.jsonl` and `images/*.png`.

    Raises:
        SourceError: When neither the package nor the repository has it.
    """
    for folder in (IN_PACKAGE, IN_REPOSITORY):
        if folder.is_dir():
            return folder
    raise SourceError(
        "the example pictures are not installed: install mm-milvus from its wheel, "
        "or work in a clone of the repository"
    )
