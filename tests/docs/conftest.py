"""The folder that a page's blocks run in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

PHOTOS = 40


@pytest.fixture(scope="session")
def photos(emoji, tmp_path_factory) -> Path:
    """A small folder `photos`: every 17th picture of the example, with its captions."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    (folder / "images").mkdir(parents=True)
    lines = (emoji / "metadata.jsonl").read_text(encoding="utf-8").splitlines()[::17][:PHOTOS]
    for line in lines:
        shutil.copy(emoji / json.loads(line)["file_name"], folder / "images")
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def ingested(emoji, tmp_path_factory) -> Path:
    """A store that holds the example already, so that ingesting it again takes a second."""
    from mm_milvus import ingest

    store = tmp_path_factory.mktemp("store") / "mm_milvus.db"
    ingest(emoji, store=str(store))
    return store


@pytest.fixture
def reader_folder(tmp_path, emoji, photos) -> Path:
    """What a reader has: the `examples` of a clone, and `photos` of their own."""
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "emoji").symlink_to(emoji)
    shutil.copytree(photos, tmp_path / "photos")
    return tmp_path
