"""Load an image by a path, a URI, the bytes of a file, a PIL image or an array of pixels."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mm_milvus.errors import ImageError
from mm_milvus.files import read_image
from mm_milvus.images.decode import decode

ImageLike = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]
"""An image: a local path, an fsspec URI or URL, the bytes of an image file, a PIL image, or uint8
pixels, (height, width, 3) as RGB or (height, width) as grey."""


def load_image(image: ImageLike) -> Image.Image:
    """Load an image as RGB.

    A file is decoded to its first frame, upright by its EXIF orientation. A PIL image or an array
    keeps its orientation. Transparency is put on white; CMYK, palettes, greys and 16 bits per
    channel become 8-bit RGB.

    Args:
        image: A local path, an fsspec URI or URL, the bytes of an image file, a PIL image, or
            uint8 pixels, (height, width, 3) as RGB or (height, width) as grey.

    Returns:
        A PIL image of mode RGB.

    Raises:
        SourceError: When the file cannot be read.
        ImageError: When the image cannot be decoded, or is an array of another shape or type. The
            message is the reason, without the image's name.
    """
    return decode(read(image))


def read(image: ImageLike, *, special: bool = False) -> bytes | Image.Image:
    """Read what `decode` and `load_pixels` take: the bytes of an image file, or a PIL image.

    Args:
        image: As for `load_image`.
        special: Also read local pipes and devices, such as `/dev/stdin`.

    Raises:
        SourceError: When the file cannot be read.
        ImageError: When it is an array of another shape or type.
    """
    if isinstance(image, bytes | Image.Image):
        return image
    if isinstance(image, np.ndarray):
        return _from_array(image)
    return read_image(image, special=special)


def _from_array(pixels: NDArray[Any]) -> Image.Image:
    if pixels.dtype != np.uint8 or pixels.ndim < 2 or pixels.shape[2:] not in ((3,), ()):
        raise ImageError(
            f"is an array of {pixels.dtype} {pixels.shape}: give uint8 pixels of "
            "(height, width, 3), RGB, or (height, width)"
        )
    if not pixels.size:
        raise ImageError(f"is an array without pixels, {pixels.shape}")
    return Image.fromarray(pixels)
