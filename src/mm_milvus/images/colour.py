"""Convert decoded pictures of any mode to 8-bit RGB on white, in strips of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from mm_milvus.images.options import DecodeOptions

STRIP_PIXELS = 2**18
"""Pixels that are converted at a time: the conversion needs up to 40 bytes for each, 10 MB."""

FLOAT_WHITES = (1.0, 255.0, 65_535.0)
"""Values of white of a float picture: the lowest that no value exceeds."""

INTEGER_WHITES = (65_535.0,)
"""Values of white of a picture of 32-bit integers: the lowest that no value exceeds."""

FULL_SCALE_FROM = 2**24
"""A picture of 32-bit integers with a larger value uses the whole range of its type. Most files of
this type hold counts or distances that do not, and would be black if white were 2**32 - 1."""

CAMERA_WHITES = (1_023, 4_095, 16_383, 65_535)
"""Values of white of 10, 12, 14 and 16 bits."""

SIGNED_8BIT = [round(value * 255 / 127) for value in range(128)] + [0] * 128
"""The grey of each signed byte, by its unsigned value: negative ones are black."""

UNSIGNED, SIGNED = 1, 2
"""TIFF: values of SampleFormat."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the samples of a file are stored, where it matters for their conversion.

    Attributes:
        rawmode: Pillow's name of the layout of the file's pixels, such as `RGB;16B`; None where it
            is unknown, as for an image that is not from a file.
        bits: Bits per sample of a grey picture, as far as the file declares them; None: it does
            not.
        signed: The samples are signed integers.
        inverted: 0 is white, and Pillow did not invert the picture.
    """

    rawmode: str | None = None
    bits: int | None = None
    signed: bool = False
    inverted: bool = False

    @property
    def has_16_bit_rgb(self) -> bool:
        """Whether the file holds RGB of 16 bits per channel, of which Pillow keeps 8."""
        return self.rawmode in ("RGB;16B", "RGB;16L", "RGB;16N")


def rawmode_of(image: Image.Image) -> str | None:
    """Return Pillow's name of the layout of a file's pixels; None for a picture that is loaded."""
    tile = next(iter(getattr(image, "tile", ())), None)
    args = tile[3] if tile else None
    rawmode = args[0] if isinstance(args, tuple) and args else args
    return rawmode if isinstance(rawmode, str) else None


def encoding_of(image: Image.Image) -> Encoding:
    """Return how the samples of a picture are stored; call this before the picture is loaded."""
    rawmode = rawmode_of(image)
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        # Netpbm's deep greys are scaled by Pillow to 16 bits, in a mode of 32.
        bits = 16 if image.format == "PPM" and image.mode == "I" else None
        if image.format == "PNG" and rawmode in ("L;2", "L;4"):
            bits = int(rawmode[2:])
        return Encoding(rawmode, bits)
    sample_format = tags.get(TiffImagePlugin.SAMPLEFORMAT, (UNSIGNED,))[0]
    photometric = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0)
    planar = tags.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == 2
    return Encoding(
        None if planar else rawmode,
        bits=tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))[0],
        signed=sample_format == SIGNED,
        inverted=photometric == 0 and image.mode.startswith(("I", "F")),
    )


def to_rgb(
    image: Image.Image,
    encoding: Encoding,
    options: DecodeOptions,
    low_bytes: Image.Image | None = None,
) -> Image.Image:
    """Convert a loaded picture to mode RGB, on white where it is transparent.

    The result and the picture are in memory together: at most 8 bytes per pixel (12 with
    `low_bytes`), and one strip.

    Deeper greys than 8 bits are scaled linearly, from 0, black, to the largest value of the depth
    that the file declares, white. Negative values are black. Depths that say nothing about the
    values are guessed, see `FLOAT_WHITES` and `INTEGER_WHITES`; where a value is negative or
    exceeds all of them, from the smallest value to the largest.

    Args:
        image: A loaded picture; one of mode RGB may be returned unchanged.
        encoding: How its file stores it, found before it was loaded.
        options: How to decode.
        low_bytes: For RGB of 16 bits per channel, the lower bytes of its samples as a picture.

    Returns:
        A picture of mode RGB.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _in_strips(image, _grey_scaler(image, encoding, options))
    if image.mode == "L" and encoding.signed:
        return image.point(SIGNED_8BIT).convert("RGB")
    if low_bytes is not None:
        return _deep_rgb(image, low_bytes, options)
    if image.has_transparency_data:
        _mask_transparency(image, encoding)
        return _in_strips(image, _on_white)
    return image if image.mode == "RGB" else image.convert("RGB")


def _boxes(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)


def _in_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Return the picture of the converted strips, which are of mode L or RGB."""
    if image.width * image.height <= STRIP_PIXELS:
        return convert(image).convert("RGB")
    result = Image.new("RGB", image.size)
    for box in _boxes(image):
        result.paste(convert(image.crop(box)).convert("RGB"), box)
    return result


# Transparency


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def _mask_transparency(image: Image.Image, encoding: Encoding) -> None:
    """Bring the transparent value of a grey or RGB picture to the scale of its 8-bit pixels.

    PNG stores it as 16 bits of which the lower ones count, and Pillow leaves it unscaled for 2 and
    4 bits, whose pixels it scales.
    """
    value = image.info.get("transparency")
    if image.mode == "L" and isinstance(value, int):
        bits = encoding.bits if encoding.bits in (2, 4) else 8
        image.info["transparency"] = (value & (2**bits - 1)) * 255 // (2**bits - 1)
    elif image.mode == "RGB" and isinstance(value, tuple):
        # One over 255 is of a picture of 16 bits that Pillow has loaded, without its lower bytes.
        deep = max(value) > 255 and encoding.rawmode is None
        image.info["transparency"] = tuple(part >> 8 if deep else part & 255 for part in value)


# Depth


def _grey_scaler(
    image: Image.Image, encoding: Encoding, options: DecodeOptions
) -> Callable[[Image.Image], Image.Image]:
    black, white = _range(image, encoding, options)
    table = None
    if image.mode.startswith("I;16"):
        table = _scaled(np.arange(65_536), black, white, encoding.inverted)
        key = image.info.get("transparency")
        if isinstance(key, int):
            table[key & 65_535] = 255

    def scale(strip: Image.Image) -> Image.Image:
        values = _values(strip, encoding)
        if table is not None:
            return Image.fromarray(table[values])
        return Image.fromarray(_scaled(values, black, white, encoding.inverted))

    return scale


def _values(image: Image.Image, encoding: Encoding) -> NDArray[np.generic]:
    """Return the numbers of a grey picture, with 0 for those that are not finite."""
    values: NDArray[np.generic] = np.asarray(image)
    if values.dtype.kind == "f":
        finite: NDArray[np.generic] = np.nan_to_num(values, nan=0, posinf=0, neginf=0)
        return finite
    if encoding.bits == 32 and not encoding.signed:
        return values.view(np.uint32)
    return values


def _scaled(
    values: NDArray[np.generic], black: float, white: float, inverted: bool
) -> NDArray[np.uint8]:
    scaled = (values.astype(np.float64) - black) * (255 / ((white - black) or 1))
    grey = np.clip(np.round(scaled), 0, 255).astype(np.uint8)
    return 255 - grey if inverted else grey


def _range(image: Image.Image, encoding: Encoding, options: DecodeOptions) -> tuple[float, float]:
    """Return the values of black and white."""
    if image.mode == "F":
        return _guessed_range(*_extremes(image, encoding), FLOAT_WHITES)
    bits = 16 if image.mode.startswith("I;16") and encoding.bits is None else encoding.bits
    if bits is None or bits > 16:
        low, high = _extremes(image, encoding)
        if high > FULL_SCALE_FROM:
            return 0, 2**32 - 1 if encoding.bits == 32 and not encoding.signed else 2**31 - 1
        return _guessed_range(low, high, INTEGER_WHITES)
    if bits == 16 and options.stretch_16bit and not encoding.inverted:
        high = _extremes(image, encoding)[1]
        return 0, next(white for white in CAMERA_WHITES if high <= white)
    return 0, 2 ** (bits - encoding.signed) - 1


def _guessed_range(low: float, high: float, whites: tuple[float, ...]) -> tuple[float, float]:
    white = next((white for white in whites if high <= white), None)
    return (low, high) if low < 0 or white is None else (0, white)


def _extremes(image: Image.Image, encoding: Encoding) -> tuple[float, float]:
    low, high = float("inf"), float("-inf")
    for box in _boxes(image):
        values = _values(image.crop(box), encoding)
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    return low, high


def _deep_rgb(high: Image.Image, low: Image.Image, options: DecodeOptions) -> Image.Image:
    """Convert RGB of 16 bits per channel; its transparent colour becomes white.

    Args:
        high: A picture of the upper bytes.
        low: A picture of the lower bytes.
        options: How to decode.
    """
    key = high.info.get("transparency")
    white = 65_535
    if options.stretch_16bit:
        largest = max(int(_joined(high, low, box).max()) for box in _boxes(high))
        white = next(white for white in CAMERA_WHITES if largest <= white)
    table = _scaled(np.arange(65_536), 0, white, False) if white < 65_535 else None
    result = Image.new("RGB", high.size)
    for box in _boxes(high):
        values = _joined(high, low, box)
        pixels = (values >> 8).astype(np.uint8) if table is None else table[values]
        if isinstance(key, tuple):
            pixels[(values == key).all(axis=-1)] = 255
        result.paste(Image.fromarray(pixels), box)
    return result


def _joined(
    high: Image.Image, low: Image.Image, box: tuple[int, int, int, int]
) -> NDArray[np.uint16]:
    values: NDArray[np.uint16] = np.asarray(high.crop(box)).astype(np.uint16)
    values <<= 8
    values |= np.asarray(low.crop(box))
    return values
