"""The program, run as a user runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def program() -> Path:
    """The command that the package installs."""
    return Path(sys.executable).parent / "mm-milvus"


@pytest.fixture(scope="session")
def pictures(emoji, tmp_path_factory) -> Path:
    """Four pictures, each with its name as its caption."""
    folder = tmp_path_factory.mktemp("data") / "pictures"
    folder.mkdir()
    for name in ("dress", "pizza", "dog", "running-shoe"):
        shutil.copy(emoji / "images" / f"{name}.png", folder)
        (folder / f"{name}.txt").write_text(name.replace("-", " "))
    return folder


@pytest.fixture
def run(tmp_path, program):
    """Run mm-milvus in an empty folder."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run
