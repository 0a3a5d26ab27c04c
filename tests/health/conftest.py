"""A small data set, stored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mm_milvus import ingest
from mm_milvus.store import Connection, Dataset, open_dataset
from plain_encoder import PlainEncoder

PICTURES = ("dress", "helicopter", "pizza", "dog", "saxophone", "penguin")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path, emoji) -> Path:
    """Six pictures of two captions each, and one that cannot be read."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in PICTURES:
        shutil.copy(emoji / "images" / f"{name}.png", folder)
        captions = {"captions": [name, f"{name} emoji"]}
        (folder / f"{name}.json").write_text(json.dumps(captions))
    (folder / "broken.png").write_bytes(b"<html>")
    return folder


@pytest.fixture
def stored(uri, dataset, folder) -> Callable[[], Dataset]:
    """Ingest the folder; the function opens what is stored."""
    ingest(folder, uri=uri, dataset=dataset, model=PlainEncoder())
    with Connection(uri) as connection:
        yield lambda: open_dataset(connection, dataset)
