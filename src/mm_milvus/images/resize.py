"""Resize and crop a decoded image to the input of an image encoder."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mm_milvus.images.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True)
class Picture:
    """An upright RGB image, and the exact extent of the picture in it.

    The extent is smaller than the image, by a fraction of a pixel, where a JPEG was decoded at a
    fraction of a size that is not divisible by it. The rest is assumed to be at the right and at
    the bottom; for a picture that was turned afterwards, that is wrong by less than a pixel.

    Attributes:
        image: Mode RGB.
        width: Width of the picture, in pixels of the image.
        height: Height of the picture, in pixels of the image.
    """

    image: Image.Image
    width: float
    height: float


def resize_and_crop(
    picture: Picture, preprocessing: Preprocessing, *, whole: bool, max_pixels: int
) -> NDArray[np.uint8]:
    """Resize a picture and crop its centre.

    Args:
        picture: What `decode` makes of an image file.
        preprocessing: The target size, and the filter.
        whole: Resize the whole picture and then crop, as the models' own processors do. Otherwise
            resize only what the crop keeps: the same to within a rounding, in less time and
            memory.
        max_pixels: Above this size of the resized picture, `whole` is ignored.

    Returns:
        RGB pixels, uint8, (height, width, 3).
    """
    resample = Image.Resampling[preprocessing.resample.upper()]
    size = preprocessing.width, preprocessing.height
    extent = picture.width, picture.height
    if preprocessing.shortest_edge is None:
        return np.array(picture.image.resize(size, resample, box=(0, 0, *extent)))
    scaled = _scaled_size(extent, preprocessing.shortest_edge)
    left, top = ((have - want) // 2 for have, want in zip(scaled, size, strict=True))
    window = left, top, left + size[0], top + size[1]
    if whole and prod(scaled) <= max_pixels:
        return np.array(picture.image.resize(scaled, resample).crop(window))
    return np.array(_resize_window(picture, scaled, window, resample))


def _scaled_size(extent: tuple[float, float], shortest_edge: int) -> tuple[int, int]:
    """Return (width, height), rounded down as the models' own processors do."""
    short = min(extent)
    width, height = (
        shortest_edge if side == short else int(shortest_edge * side / short) for side in extent
    )
    return width, height


def _resize_window(
    picture: Picture,
    scaled: tuple[int, int],
    window: tuple[int, int, int, int],
    resample: Image.Resampling,
) -> Image.Image:
    """Return the window (left, top, right, bottom) of the picture resized to `scaled`.

    The window is black outside the picture.
    """
    left, top, right, bottom = window
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, scaled[0]), min(bottom, scaled[1])
    box = (
        x0 * picture.width / scaled[0],
        y0 * picture.height / scaled[1],
        x1 * picture.width / scaled[0],
        y1 * picture.height / scaled[1],
    )
    part = picture.image.resize((x1 - x0, y1 - y0), resample, box)
    canvas = Image.new("RGB", (right - left, bottom - top))
    canvas.paste(part, (x0 - left, y0 - top))
    return canvas
