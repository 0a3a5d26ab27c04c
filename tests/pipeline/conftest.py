"""Six real pictures with captions, in a folder of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pictures import PICTURES, caption


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path, emoji) -> Path:
    """Six pictures; each with its name as the first caption and `NAME emoji` as the second."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in PICTURES:
        shutil.copy(emoji / "images" / f"{name}.png", folder)
        caption(folder, name, name, f"{name} emoji")
    return folder
