"""Load an image by a path, a URI, bytes, an open file, a PIL image or an array of pixels."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mm_milvus.errors import ImageError
from mm_milvus.files import read_image
from mm_milvus.images.decoding import decode
from mm_milvus.images.options import DecodeOptions
from mm_milvus.text import one_line


class Readable(Protocol):
    """An open binary file."""

    def read(self) -> bytes:
        """Return its bytes."""


class Upload(Protocol):
    """An upload of a web framework, which holds the file."""

    @property
    def file(self) -> Any:
        """The open file."""


ImageLike = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | Readable
    | Upload
    | Image.Image
    | NDArray[np.uint8]
    | NDArray[np.uint16]
)
"""An image: a local path, an fsspec URI or URL, the bytes of an image file, an open binary file, an
upload of a web framework (with the attribute `file`), a PIL image, or pixels of uint8 or uint16,
(height, width) as grey, (height, width, 3) as RGB or (height, width, 4) as RGBA."""

FORMS = "give a path, a URL, bytes, an open binary file, a PIL image or an array of pixels"

ReadImage = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8] | NDArray[np.uint16]
"""An `ImageLike` that can be read several times, and that nobody changes meanwhile."""


def load_image(
    image: ImageLike, *, stretch_16bit: bool = False, lenient: bool = False
) -> Image.Image:
    """Load an image as RGB.

    A file is decoded to its first frame, upright by its EXIF orientation; a PIL image gives the
    same pixels as its file. Transparency is put on white; CMYK, LAB, palettes, greys and more than
    8 bits per channel become 8-bit RGB, where the largest value of the depth that the file declares
    is white.

    Args:
        image: A local path, an fsspec URI or URL, the bytes of an image file, an open binary file,
            an upload of a web framework, a PIL image, or pixels of uint8 or uint16,
            (height, width) as grey, (height, width, 3) as RGB or (height, width, 4) as RGBA.
        stretch_16bit: Treat a 16-bit picture whose values all fit into 10, 12 or 14 bits as one of
            that depth.
        lenient: Accept a JPEG file that lacks its end marker or its last few bytes.

    Returns:
        A PIL image of mode RGB.

    Raises:
        SourceError: When the file cannot be read.
        ImageError: When the image cannot be decoded, or is an array of another shape or type. The
            message is the reason, without the image's name.
    """
    options = DecodeOptions(stretch_16bit=stretch_16bit, lenient=lenient)
    return decode(read(image), options=options)


def is_one_image(image: object) -> bool:
    """Return whether an object is meant as one image, and not as several of them."""
    if isinstance(image, str | bytes | bytearray | memoryview | os.PathLike | Image.Image):
        return True
    return isinstance(image, np.ndarray) or hasattr(image, "read") or hasattr(image, "file")


def as_read(image: object) -> ReadImage:
    """Read an image that is given as an open file, from its beginning; return others unchanged.

    Args:
        image: Any object that was passed as an image.

    Raises:
        ImageError: When it is no `ImageLike`, or the open file cannot be read. The message is the
            reason, without the image's name.
    """
    if isinstance(image, os.PathLike):
        path = image.__fspath__()
        image = path if isinstance(path, str) else image
    if isinstance(image, bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | bytes | Image.Image | np.ndarray):
        return image
    file = image if not hasattr(image, "file") else image.file
    if not hasattr(file, "read"):
        raise ImageError(f"is given as {type(image).__name__}: {FORMS}")
    try:
        if hasattr(file, "seek"):
            file.seek(0)  # an application may have looked into it
        data = file.read()
    except Exception as error:  # a file of any package raises whatever it likes
        raise ImageError(f"cannot be read: {one_line(error)}") from error
    if not isinstance(data, bytes | bytearray | memoryview):
        if hasattr(data, "close"):
            data.close()  # a coroutine that nobody awaits
        raise ImageError(
            f"is a file that gives {type(data).__name__} and not bytes: open it as a binary file"
        )
    return bytes(data)


def read(image: ImageLike, *, special: bool = False) -> bytes | Image.Image:
    """Read what `decode` and `load_pixels` take: the bytes of an image file, or a PIL image.

    Args:
        image: As for `load_image`.
        special: Also read local pipes and devices, such as `/dev/stdin`.

    Raises:
        SourceError: When the file cannot be read.
        ImageError: When it is no image, or an array of another shape or type.
    """
    known = as_read(image)
    if isinstance(known, bytes | Image.Image):
        return known
    if isinstance(known, np.ndarray):
        return _from_array(known)
    return read_image(known, special=special)


def _from_array(pixels: NDArray[Any]) -> Image.Image:
    if (
        pixels.dtype.newbyteorder("=") not in (np.uint8, np.uint16)
        or pixels.ndim < 2
        or pixels.shape[2:] not in ((), (1,), (3,), (4,))
    ):
        raise ImageError(
            f"is an array of {pixels.dtype} {pixels.shape}: give pixels of uint8 or uint16, of "
            "(height, width), (height, width, 3), RGB, or (height, width, 4), RGBA"
        )
    if not pixels.size:
        raise ImageError(f"is an array without pixels, {pixels.shape}")
    grey = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
    if grey.dtype.itemsize == 2 and grey.ndim == 3:
        return Image.fromarray((grey >> 8).astype(np.uint8))  # as Pillow reads such a file
    return Image.fromarray(np.ascontiguousarray(grey, grey.dtype.newbyteorder("=")))
