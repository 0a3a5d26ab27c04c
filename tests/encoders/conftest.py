"""Fixtures: a copy of a small model, and image files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def clip_copy(model_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of the small CLIP that a test may damage."""
    return Path(shutil.copytree(model_folder("clip"), tmp_path / "clip-copy"))


@pytest.fixture(scope="session")
def image_files() -> list[bytes]:
    """PNG and JPEG files of odd sizes, tall and wide, smaller and larger than the model's input."""
    return list(_files([(33, 47), (200, 31), (64, 64), (20, 90), (257, 129)]))


def _files(sizes: Iterable[tuple[int, int]]) -> Iterable[bytes]:
    random = np.random.default_rng(0)
    for height, width in sizes:
        coarse = random.integers(0, 256, (6, 5, 3), dtype=np.uint8)
        file = BytesIO()
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        image.save(file, "JPEG" if height % 2 else "PNG")
        yield file.getvalue()
