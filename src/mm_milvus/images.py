"""Image files to RGB pixels: limits, orientation, colour modes; every failure has a name."""

from __future__ import annotations

import io
import math
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from mm_milvus.errors import ImageError

Resample = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
"""What is opened. A closed list: some of Pillow's other plug-ins run programs (EPS)."""

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 89_478_485
"""Of a decoded image: 256 MB as RGB, the bound above which Pillow suspects a bomb."""

MAX_ASPECT = 64
"""A longer strip is cut to its middle before it is resized, or one of 1 x 60,000 pixels would
take gigabytes on the way to a square that shows a sliver of it."""

DRAFT_MARGIN = 2
"""JPEG is decoded at 1/2, 1/4 or 1/8 where that leaves at least this many times the pixels that
the resize asks for. At 2 the resize still averages over real pixels: see docs/performance.md."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an RGB image becomes the input of an image encoder.

    height, width  of the result, in pixels
    shortest_edge  resize the shorter side to this many pixels, keep the aspect ratio, then crop
                   the centre to (height, width); None: resize straight to (height, width)
    resample       the filter of the resize
    mean, std      of each channel, after scaling pixels to [0, 1]; applied on the device
    """

    height: int
    width: int
    shortest_edge: int | None
    resample: Resample
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def load_pixels(
    data: bytes, preprocessing: Preprocessing, *, exact: bool = False
) -> NDArray[np.uint8]:
    """The pixels that an image encoder takes, from an image file: uint8 (height, width, 3), RGB.

    exact  decode JPEG at full size, as the models' own processors do; otherwise a large JPEG is
           decoded at a fraction of its size, which is several times as fast

    Raises `ImageError`.
    """
    least = preprocessing.shortest_edge or max(preprocessing.height, preprocessing.width)
    image = decode(data, at_least=None if exact else least * DRAFT_MARGIN)
    return resize(image, preprocessing)


def decode(data: bytes, *, at_least: int | None = None) -> Image.Image:
    """The picture in an image file, upright, as RGB; of an animation, the first frame.

    Transparency lies on white, 16 bits a channel become 8, and CMYK, palettes and greys RGB.

    at_least  a JPEG may be decoded smaller, as long as its shorter side keeps this many pixels

    Raises `ImageError` whose message is the reason, for whatever the bytes are.
    """
    if not data:
        raise ImageError("is empty (0 bytes)")
    if len(data) > MAX_BYTES:
        raise ImageError(f"has {len(data):,} bytes, over the limit of {MAX_BYTES:,}")
    try:
        with _open(data) as image:
            _check_size(image)
            if at_least is not None and image.format == "JPEG":
                _scale_down(image, at_least)
            image.load()
            return _to_rgb(_upright(image))
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(_why_unidentified(data)) from error
    except MemoryError as error:
        raise ImageError("does not fit into memory") from error
    except Exception as error:  # the decoders raise nearly every class there is on bad bytes
        raise ImageError(_why_broken(error)) from error


def resize(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Resize and crop an RGB image as the preprocessing says: uint8 (height, width, 3)."""
    resample = Image.Resampling[preprocessing.resample.upper()]
    size = preprocessing.width, preprocessing.height
    if preprocessing.shortest_edge is None:
        return np.asarray(image.resize(size, resample))
    image = _cut_strip(image)
    scaled = image.resize(_scaled_size(image, preprocessing.shortest_edge), resample)
    left, top = ((have - want) // 2 for have, want in zip(scaled.size, size, strict=True))
    return np.asarray(scaled.crop((left, top, left + size[0], top + size[1])))


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=_formats())
    except Image.DecompressionBombError as error:
        raise ImageError(f"has more pixels than the limit of {MAX_PIXELS:,}") from error


@cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this installation can read."""
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"has no pixels ({width} x {height})")
    if width * height > MAX_PIXELS:
        raise ImageError(f"has {width * height:,} pixels, over the limit of {MAX_PIXELS:,}")


def _scale_down(image: Image.Image, at_least: int) -> None:
    scale = at_least / min(image.size)
    if scale < 1:
        width, height = image.size
        image.draft(image.mode, (math.ceil(width * scale), math.ceil(height * scale)))


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        return image if orientation == 1 else ImageOps.exif_transpose(image)
    except Exception:  # a broken EXIF block does not make the picture a bad one
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image.copy() if image.readonly else image
    if image.mode.startswith("I"):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(_stretched(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _eight_bits(values: NDArray[np.int32]) -> NDArray[np.uint8]:
    """16 bits a pixel to 8: Pillow's own conversion would clip instead."""
    return np.clip(values // 257, 0, 255).astype(np.uint8)


def _stretched(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Floats of an unknown range to 0 to 255, by their own minimum and maximum."""
    finite = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    return ((finite - low) * (255 / ((high - low) or 1))).round().astype(np.uint8)


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _cut_strip(image: Image.Image) -> Image.Image:
    longest = MAX_ASPECT * min(image.size)
    if max(image.size) <= longest:
        return image
    width, height = (min(side, longest) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _scaled_size(image: Image.Image, shortest_edge: int) -> tuple[int, int]:
    """Rounded down, as the models' own processors do."""
    short = min(image.size)
    width, height = (
        shortest_edge if side == short else int(shortest_edge * side / short) for side in image.size
    )
    return width, height


def _why_unidentified(data: bytes) -> str:
    head = data[:64]
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return "is HEIC, which needs a plug-in: pip install pillow-heif"
    if head.lstrip()[:1] == b"<":
        start = head.lstrip()[:20].decode("ascii", "replace")
        return f"is not an image: it begins with {start!r}"
    return "is not an image that can be read, or is cut off in its header"


def _why_broken(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "truncated" in text.lower():
        return f"is truncated ({text})"
    return f"is broken ({text or type(error).__name__})"
