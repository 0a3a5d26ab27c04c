"""Decode image files to upright RGB, within limits; every failure is an `ImageError`."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile

from mm_milvus.errors import ImageError
from mm_milvus.files import MAX_FILE_BYTES
from mm_milvus.images.preprocessing import Preprocessing
from mm_milvus.images.resize import Picture, resize_and_crop
from mm_milvus.text import one_line

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF")
"""The formats that are opened. A closed list: some other Pillow plug-ins run programs (EPS)."""

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")

MAX_PIXELS = 178_956_970
"""Largest number of pixels, checked in the header before anything is decoded. It is Pillow's own
default limit: the 150 megapixels of the largest cameras pass, and as RGB that is 0.7 GB (Pillow
keeps 4 bytes per pixel)."""

MAX_SIDE = 65_535
"""Longest side: JPEG's own limit. Pillow positions what it resizes with 24 bits, which are too few
for a longer strip."""

MAX_SCANS = 100
"""Most scans of a JPEG file. Encoders write about ten. Each scan passes over the whole picture,
0.1 s for 170 megapixels, and takes a few bytes where it is empty: a file of 64 MB could keep a
decoder busy for hours."""

JPEG_START, JPEG_SCAN = b"\xff\xd8\xff", b"\xff\xda"

DRAFT_MARGIN = 2
"""JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that leaves this many times the pixels that
the resize needs. Mean difference from the exact path on mosaics of the clothing photos: at 2, 0.2
to 0.6 of 255 and a cosine of 0.999 (minimum: 0.995); at 1, up to 2.2 of 255, and single photos
fall to 0.91."""

CEILINGS = {"u": (65_535,), "i": (65_535,), "f": (1, 255, 65_535)}
"""Possible values of white in a picture of more than 8 bits, by the kind of its numbers."""

TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The operation that makes a picture upright, by its EXIF orientation; from 5 on, it swaps the
sides."""

# Pillow warns about broken metadata, which is not used; a broken picture is an ImageError.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.\w+ImagePlugin")


def load_pixels(
    image: bytes | Image.Image, preprocessing: Preprocessing, *, exact: bool = False
) -> NDArray[np.uint8]:
    """Return the pixels that an image encoder takes.

    Args:
        image: The bytes of an image file, or a PIL image as for `decode`.
        preprocessing: The encoder's input.
        exact: Match the models' own processors bit for bit: decode JPEG at full size, and resize
            also what the crop removes. Otherwise a large JPEG is several times faster.

    Returns:
        RGB pixels, uint8, (height, width, 3).

    Raises:
        ImageError: When the image cannot be decoded.
    """
    shortest = preprocessing.shortest_edge or max(preprocessing.height, preprocessing.width)
    picture = _read(image, None if exact else shortest * DRAFT_MARGIN)
    return resize_and_crop(picture, preprocessing, whole=exact, max_pixels=MAX_PIXELS)


def decode(image: bytes | Image.Image, *, at_least: int | None = None) -> Image.Image:
    """Decode an image file to RGB, upright by its EXIF orientation.

    Of an animation, the first frame is decoded. Transparency is put on white; CMYK, palettes, greys
    and 16 bits per channel become 8-bit RGB.

    Args:
        image: The bytes of an image file. A PIL image is converted to RGB only: it keeps its
            orientation, and one of mode RGB is returned unchanged.
        at_least: A JPEG may be decoded smaller, as long as its shorter side keeps this many
            pixels (default: decode it at its full size).

    Returns:
        A PIL image of mode RGB.

    Raises:
        ImageError: For bytes of any other kind; the message is the reason.
    """
    return _read(image, at_least).image


def _read(image: bytes | Image.Image, at_least: int | None) -> Picture:
    """Decode; the one place where an error inside a decoder becomes an `ImageError`."""
    try:
        if isinstance(image, Image.Image):
            _check_size(image)
            image.load()
            return Picture(_to_rgb(image), *image.size)
        return _read_file(image, at_least)
    except ImageError:
        raise
    except Exception as error:  # decoders raise almost every class of error on bad bytes
        raise ImageError(_why_broken(error)) from error


def _read_file(data: bytes, at_least: int | None) -> Picture:
    if not data:
        raise ImageError("is empty (0 bytes)")
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"has {len(data):,} bytes, over the limit of {MAX_FILE_BYTES:,}")
    _check_scans(data)
    image = _open(data)
    _check_size(image)
    reduced = _scale_down(image, at_least)
    image.load()
    width, height = reduced or image.size
    return _upright(Picture(_to_rgb(image), width, height), _orientation(image))


def _check_scans(data: bytes) -> None:
    """Raise `ImageError` when a JPEG file has too many scans."""
    # Picture data never contains the marker: JPEG writes a zero after each of its ff bytes.
    count = data.count(JPEG_SCAN) if data.startswith(JPEG_START) else 0
    if count > MAX_SCANS:
        raise ImageError(f"has {count:,} scans, over the limit of {MAX_SCANS}")


def _scale_down(image: ImageFile, at_least: int | None) -> tuple[float, float] | None:
    """Let Pillow decode a JPEG smaller; return the picture's exact width and height in the result.

    None: the picture is decoded at its full size.
    """
    drafted = image.draft(None, (at_least, at_least)) if at_least else None
    return drafted[1][2:] if drafted else None


def _open(data: bytes) -> ImageFile:
    """Read the header.

    The plug-ins are called directly: `Image.open` compares an image with the host application's
    limit of pixels, with a warning or an error, before it can be compared with `MAX_PIXELS`.
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
        except Exception as error:  # AVIF and HEIC share a container: try the next plug-in
            failure = error
    raise failure or ImageError(_why_unidentified(data))


@cache
def _formats() -> tuple[str, ...]:
    """Return those of `FORMATS` that this installation can read."""
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
    except Exception:  # a broken EXIF block is no reason to reject the picture
        return 1


def _upright(picture: Picture, orientation: int) -> Picture:
    if orientation not in TRANSPOSES:
        return picture
    image = picture.image.transpose(TRANSPOSES[orientation])
    if orientation >= 5:
        return Picture(image, picture.height, picture.width)
    return Picture(image, picture.width, picture.height)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale integers or floats, (height, width), to uint8; Pillow's own conversion clips them."""
    finite: NDArray[np.float64] = np.nan_to_num(values, posinf=0, neginf=0).astype(np.float64)
    low, high = _range(finite, CEILINGS[values.dtype.kind])
    return np.round((finite - low) * (255 / ((high - low) or 1))).astype(np.uint8)


def _range(values: NDArray[np.float64], ceilings: tuple[int, ...]) -> tuple[float, float]:
    """Return the values of black and white: 0 and the lowest ceiling, else the extremes."""
    low, high = float(values.min()), float(values.max())
    white = next((ceiling for ceiling in ceilings if high <= ceiling), None)
    return (low, high) if low < 0 or white is None else (0, white)


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def _is_heic(data: bytes) -> bool:
    brands = data[8 : int.from_bytes(data[:4])]
    return data[4:8] == b"ftyp" and any(brand in brands for brand in HEIC_BRANDS)


def _why_unidentified(data: bytes) -> str:
    text = " ".join(data[:24].decode("latin-1").split())
    if text and text.isascii() and text.isprintable():
        return f"is not an image: it begins with {text!r}"
    return f"is not an image that can be read: it begins with the bytes {data[:8].hex(' ')}"


def _why_broken(error: Exception) -> str:
    text = one_line(error)
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if isinstance(error, Image.DecompressionBombError):
        return f"has too many pixels ({text})"
    if "truncated" in text.lower():
        return "is truncated"
    return f"is truncated or broken ({text})"
