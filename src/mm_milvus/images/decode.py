"""Image files to RGB pixels: limits, orientation, colour modes; every failure has a name."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import prod

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile

from mm_milvus.errors import ImageError
from mm_milvus.images.jpeg import check_scans, scale_down
from mm_milvus.images.preprocessing import Preprocessing

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF")
"""What is opened. A closed list: some of Pillow's other plug-ins run programs (EPS)."""

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 178_956_970
"""By the header, before anything is decoded. It is where Pillow itself refuses by default: the
largest cameras' 150 megapixels pass, and as RGB that is 0.7 GB (Pillow keeps 4 bytes a pixel)."""

MAX_SIDE = 65_535
"""JPEG's own bound: Pillow places what it resizes with 24 bits, too few for a longer strip."""

DRAFT_MARGIN = 2
"""JPEG is decoded at 1/2, 1/4 or 1/8 where that leaves this many times the pixels that the resize
asks for. Mean difference from the exact path on mosaics of the clothing photos: at 2, 0.2 to 0.6 of
255 and a cosine of 0.999 (least: 0.995); at 1, up to 2.2 of 255 and single photos fall to 0.91."""

CEILINGS = {"u": (65_535,), "i": (65_535,), "f": (1, 255, 65_535)}
"""What white may be in a picture of more than 8 bits, by the kind of its numbers."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture upright, by its EXIF orientation: 5 and above lie on their side."""

# Pillow remarks on broken metadata, which we do not read; a broken picture is an ImageError.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.\w+ImagePlugin")


@dataclass(frozen=True, slots=True)
class _Picture:
    """An upright RGB image, and the width and height that the picture has in it.

    They are less than the image's own, by a fraction of a pixel, where a JPEG was decoded at a
    part of a size that cannot be divided by it. The fraction is taken to lie right and below; for
    a picture that was then turned, that may move it by less than a pixel.
    """

    image: Image.Image
    width: float
    height: float


def load_pixels(
    data: bytes, preprocessing: Preprocessing, *, exact: bool = False
) -> NDArray[np.uint8]:
    """The pixels that an image encoder takes, from an image file: uint8 (height, width, 3), RGB.

    exact  equal the models' own processors bit for bit: decode JPEG at full size, and resize
           also what the crop then throws away; otherwise a large JPEG is several times as fast

    Raises `ImageError`.
    """
    if exact:
        return _fit(_read(data, None), preprocessing, whole=True)
    least = preprocessing.shortest_edge or max(preprocessing.height, preprocessing.width)
    return _fit(_read(data, least * DRAFT_MARGIN), preprocessing, whole=False)


def decode(data: bytes, *, at_least: int | None = None) -> Image.Image:
    """The picture in an image file, upright, as RGB; of an animation, the first frame.

    Transparency lies on white; CMYK, palettes, greys and 16 bits a channel become 8-bit RGB.

    at_least  a JPEG may be decoded smaller, as long as its shorter side keeps this many pixels

    Raises `ImageError` whose message is the reason, for whatever the bytes are.
    """
    return _read(data, at_least).image


def _read(data: bytes, at_least: int | None) -> _Picture:
    """Decode; the one place where what goes wrong inside a decoder gets its name."""
    if not data:
        raise ImageError("is empty (0 bytes)")
    if len(data) > MAX_BYTES:
        raise ImageError(f"has {len(data):,} bytes, over the limit of {MAX_BYTES:,}")
    try:
        check_scans(data)
        image = _open(data)
        _check_size(image)
        reduced = scale_down(image, at_least)
        image.load()
        width, height = reduced or image.size
        return _upright(_Picture(_to_rgb(image), width, height), _orientation(image))
    except ImageError:
        raise
    except Exception as error:  # the decoders raise nearly every class there is on bad bytes
        raise ImageError(_why_broken(error)) from error


def _open(data: bytes) -> ImageFile:
    """Read the header.

    The plug-ins are asked directly: `Image.open` holds an image against the host application's
    own limit of pixels, with a warning or an error, before we can hold it against ours.
    """
    if _is_heic(data) and "HEIF" not in _formats():
        raise ImageError("is HEIC, which needs a plug-in: pip install pillow-heif")
    failure: Exception | None = None
    for name in _formats():
        factory, accepts = Image.OPEN[name]
        accepted = accepts is not None and accepts(data[:16])
        if isinstance(accepted, str):
            raise ImageError(f"is {name}, which this Pillow cannot read: pip install -U pillow")
        if not accepted:
            continue
        try:
            return factory(io.BytesIO(data), "")
        except Exception as error:  # AVIF and HEIC share a container: the next may know it
            failure = error
    raise failure or ImageError(_why_unidentified(data))


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
    if width * height > MAX_PIXELS:
        raise ImageError(f"has {width * height:,} pixels, over the limit of {MAX_PIXELS:,}")
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"is {width:,} x {height:,}, over the limit of {MAX_SIDE:,} a side")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF block does not make the picture a bad one
        return 1


def _upright(picture: _Picture, orientation: int) -> _Picture:
    if orientation not in TURNS:
        return picture
    image = picture.image.transpose(TURNS[orientation])
    if orientation >= 5:
        return _Picture(image, picture.height, picture.width)
    return _Picture(image, picture.width, picture.height)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Integers or floats, (height, width), as uint8; Pillow's own conversion would clip them."""
    finite: NDArray[np.float64] = np.nan_to_num(values, posinf=0, neginf=0).astype(np.float64)
    low, high = _range(finite, CEILINGS[values.dtype.kind])
    return np.round((finite - low) * (255 / ((high - low) or 1))).astype(np.uint8)


def _range(values: NDArray[np.float64], ceilings: tuple[int, ...]) -> tuple[float, float]:
    """What is black and what is white: 0 and the first ceiling that holds, else the extremes."""
    low, high = float(values.min()), float(values.max())
    white = next((ceiling for ceiling in ceilings if high <= ceiling), None)
    return (low, high) if low < 0 or white is None else (0, white)


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def _fit(picture: _Picture, preprocessing: Preprocessing, *, whole: bool) -> NDArray[np.uint8]:
    """Resize, and crop the centre: uint8 (height, width, 3).

    whole  resize the whole picture and then crop, as the models' own processors do; otherwise
           only what the crop keeps, the same to within a rounding, in less time and memory
    """
    resample = Image.Resampling[preprocessing.resample.upper()]
    size = preprocessing.width, preprocessing.height
    extent = picture.width, picture.height
    if preprocessing.shortest_edge is None:
        return np.array(picture.image.resize(size, resample, box=(0, 0, *extent)))
    scaled = _scaled_size(extent, preprocessing.shortest_edge)
    left, top = ((have - want) // 2 for have, want in zip(scaled, size, strict=True))
    window = left, top, left + size[0], top + size[1]
    if whole and prod(scaled) <= MAX_PIXELS:
        return np.array(picture.image.resize(scaled, resample).crop(window))
    return np.array(_resize_window(picture, scaled, window, resample))


def _scaled_size(extent: tuple[float, float], shortest_edge: int) -> tuple[int, int]:
    """Rounded down, as the models' own processors do."""
    short = min(extent)
    width, height = (
        shortest_edge if side == short else int(shortest_edge * side / short) for side in extent
    )
    return width, height


def _resize_window(
    picture: _Picture,
    scaled: tuple[int, int],
    window: tuple[int, int, int, int],
    resample: Image.Resampling,
) -> Image.Image:
    """The window (left, top, right, bottom) of the picture resized to `scaled`; black outside."""
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


def _is_heic(data: bytes) -> bool:
    brands = data[8 : int.from_bytes(data[:4])]
    return data[4:8] == b"ftyp" and any(brand in brands for brand in HEIC_BRANDS)


def _why_unidentified(data: bytes) -> str:
    text = " ".join(data[:24].decode("latin-1").split())
    if text and text.isascii() and text.isprintable():
        return f"is not an image: it begins with {text!r}"
    return f"is not an image that can be read: it begins with the bytes {data[:8].hex(' ')}"


def _why_broken(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if isinstance(error, Image.DecompressionBombError):
        return f"has too many pixels ({text})"
    if "truncated" in text.lower():
        return "is truncated"
    return f"is truncated or broken ({text})"
