"""Synthetic photos: JPEG files with the pixel count and file size of real ones."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.encoders import WORDS

SIZE = (533, 400)
"""Height and width, those of the photos of a clothing shop."""


def jpeg(number: int, size: tuple[int, int] = SIZE) -> bytes:
    """Return photo `number` as JPEG: soft shapes with some grain, about 25 kB at `SIZE`."""
    random = np.random.default_rng(number)
    shapes = Image.fromarray(random.integers(0, 256, (8, 6, 3), np.uint8))
    pixels = np.asarray(shapes.resize(size[::-1], Image.Resampling.BICUBIC), np.int16)
    grain = random.integers(-6, 7, (*size, 1), np.int16)
    file = BytesIO()
    Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def caption(number: int) -> str:
    """Return the caption of photo `number`, 3 to 14 words."""
    random = np.random.default_rng(number)
    return " ".join(random.choice(WORDS, random.integers(3, 15)))


def write_photos(folder: Path, count: int, size: tuple[int, int] = SIZE) -> Path:
    """Write a folder of photos without captions, and return it."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:06d}.jpg").write_bytes(jpeg(number, size))
    return folder


def write_captioned(folder: Path, count: int, size: tuple[int, int] = SIZE) -> Path:
    """Write a folder of photos with captions in metadata.jsonl, and return it."""
    write_photos(folder, count, size)
    lines = [
        json.dumps({"file_name": f"{number:06d}.jpg", "text": caption(number)})
        for number in range(count)
    ]
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return folder
