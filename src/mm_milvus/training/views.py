"""Views of an image: the image itself, and random crops that its captions still describe."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mm_milvus.images.decoding import decode, load_pixels
from mm_milvus.images.options import DEFAULTS, DecodeOptions
from mm_milvus.images.preprocessing import Preprocessing

MIN_AREA = 0.5
"""Minimum part of the image in a random crop: its captions describe the whole."""


def view_key(image_hash: str, view: int) -> str:
    """Return the key of a view, from the `content_hash` of its image file."""
    return f"{image_hash}.{view}"


def view_pixels(
    data: bytes, key: str, preprocessing: Preprocessing, options: DecodeOptions = DEFAULTS
) -> NDArray[np.uint8]:
    """Decode a view of an image.

    View 0 is the image as the encoder takes it. The others are random crops (Szegedy et al., 2015),
    half of them mirrored, which depend on the key alone. Colours are unchanged: captions name them.

    Args:
        data: The image file.
        key: The `view_key`.
        preprocessing: Size and resampling of the result.
        options: How to decode.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        ImageError: When the image cannot be decoded.
    """
    if key.endswith(".0"):
        return load_pixels(data, preprocessing, options=options)
    random = np.random.default_rng(int.from_bytes(blake2b(key.encode(), digest_size=8).digest()))
    size = (preprocessing.width, preprocessing.height)
    image = decode(data, at_least=2 * max(size), options=options)
    area = random.uniform(MIN_AREA, 1)
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
