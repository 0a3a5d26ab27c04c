"""Views of an image: itself, and what it may as well have looked like."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mm_milvus.images.decode import decode, load_pixels
from mm_milvus.images.preprocessing import Preprocessing

LEAST_AREA = 0.5
"""The part of the image, at least, that a random crop shows: its captions tell of the whole."""


def view_key(content_hash: str, view: int) -> str:
    """The name of a view, wherever the image lies."""
    return f"{content_hash}.{view}"


def view_pixels(data: bytes, key: str, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """The pixels of the view with that key: uint8 (height, width, 3).

    View 0 is the image as the encoder takes it; the others are random crops (Szegedy et al.,
    2015), half of them mirrored, that depend on the key alone. Colours stay: captions name them.

    Raises `ImageError`.
    """
    if key.endswith(".0"):
        return load_pixels(data, preprocessing)
    random = np.random.default_rng(int.from_bytes(blake2b(key.encode(), digest_size=8).digest()))
    size = (preprocessing.width, preprocessing.height)
    image = decode(data, at_least=2 * max(size))
    area = random.uniform(LEAST_AREA, 1)
    ratio = np.exp(random.uniform(-0.2, 0.2))
    width = min(1.0, np.sqrt(area * ratio)) * image.width
    height = min(1.0, np.sqrt(area / ratio)) * image.height
    left = random.uniform(0, image.width - width)
    top = random.uniform(0, image.height - height)
    resample = Image.Resampling[preprocessing.resample.upper()]
    crop = image.resize(size, resample, box=(left, top, left + width, top + height))
    if random.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(crop, np.uint8)
