"""Decode image files to upright RGB, within limits; every failure is an `ImageError`."""

from __future__ import annotations

import io
import logging
import re
import sys
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin
from PIL.ImageFile import ImageFile

from mm_milvus.errors import ImageError
from mm_milvus.files import MAX_FILE_BYTES
from mm_milvus.images import libtiff
from mm_milvus.images.colour import encoding_of, rawmode_of, to_rgb
from mm_milvus.images.formats import FORMATS, name_of, open_file
from mm_milvus.images.memory import DECODING, MemoryClaim
from mm_milvus.images.options import DEFAULTS, DecodeOptions
from mm_milvus.images.preprocessing import Preprocessing
from mm_milvus.images.repair import completed_jpeg
from mm_milvus.images.resize import Picture, resize_and_crop
from mm_milvus.text import one_line

MAX_PIXELS = 178_956_970
"""Largest number of pixels, checked in the header before anything is decoded. It is Pillow's own
default limit: the 150 megapixels of the largest cameras pass. Decoding takes at most
`BYTES_PER_PIXEL` for each, 1.4 GB, and in some formats what their decoder needs. What all threads
take together is limited by `memory.DECODING`."""

BYTES_PER_PIXEL = 8
"""Most memory per pixel while a picture is decoded, next to its file: Pillow keeps 1 to 4 bytes per
pixel, and the RGB picture that is made of it, or the one that is turned upright, takes 4."""

DECODER_BYTES_PER_PIXEL = {
    "WEBP": 12,
    "AVIF": 8,
    "HEIF": 8,
    "JPEG2000": 24,
    "TIFF": 4,
    "PPM": 8,
}
"""Memory per pixel that decoders take in addition. Measured at 16 megapixels, in all: WebP 18 bytes
per pixel, AVIF 12, JPEG 2000 19, TIFF of one strip 11, Netpbm's text 15; JPEG and PNG 4 to 8."""

PROGRESSIVE_BYTES_PER_SAMPLE = 2
"""The coefficients of a progressive JPEG are in memory until its last scan, at its full size."""

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

UNSUPPORTED = re.compile(
    r"unsupported|unknown (pixel mode|raw mode|compression)|not (yet )?supported|cannot handle|"
    r"unable to determine|samples per pixel",
    re.IGNORECASE,
)
"""Messages of Pillow about files that are whole, and of a kind that it does not decode."""

PLANAR_MODES = ("RGB", "RGBA", "CMYK")
"""Modes of TIFF files that libtiff reads with the channels one after the other."""

ORDER = "L" if sys.byteorder == "little" else "B"
NATIVE_RAWMODES = (
    {"I;16BS": "I;16S", "I;32BS": "I;32S", "F;32BF": "F;32F"}
    if ORDER == "L"
    else {"I;16S": "I;16BS", "I;32S": "I;32BS", "F;32F": "F;32BF"}
)
"""Pillow's names of layouts in the other byte order, and in the machine's own."""

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

# Pillow warns about broken metadata, which is not used; a broken picture is an ImageError. Its log
# goes to the terminal unless a program that uses this library, or this line, sets a handler.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.\w+ImagePlugin")
logging.getLogger("PIL").addHandler(logging.NullHandler())


def load_pixels(
    image: bytes | Image.Image,
    preprocessing: Preprocessing,
    *,
    exact: bool = False,
    options: DecodeOptions = DEFAULTS,
) -> NDArray[np.uint8]:
    """Return the pixels that an image encoder takes.

    Args:
        image: The bytes of an image file, or a PIL image as for `decode`.
        preprocessing: The encoder's input.
        exact: Match the models' own processors bit for bit: decode JPEG at full size, and resize
            also what the crop removes. Otherwise a large JPEG is several times faster.
        options: How to decode.

    Returns:
        RGB pixels, uint8, (height, width, 3).

    Raises:
        ImageError: When the image cannot be decoded.
    """
    shortest = preprocessing.shortest_edge or max(preprocessing.height, preprocessing.width)
    with DECODING.claim() as memory:
        picture = _read(image, None if exact else shortest * DRAFT_MARGIN, options, memory)
        return resize_and_crop(picture, preprocessing, whole=exact, max_pixels=MAX_PIXELS)


def decode(
    image: bytes | Image.Image,
    *,
    at_least: int | None = None,
    options: DecodeOptions = DEFAULTS,
) -> Image.Image:
    """Decode an image file to RGB, upright by its EXIF orientation.

    Of an animation, the first frame is decoded. Transparency is put on white; CMYK, LAB, palettes,
    greys and more than 8 bits per channel become 8-bit RGB.

    Args:
        image: The bytes of an image file. A PIL image gives the same pixels as its file; one of
            mode RGB that is upright may be returned unchanged.
        at_least: A JPEG may be decoded smaller, as long as its shorter side keeps this many
            pixels (default: decode it at its full size).
        options: How to decode.

    Returns:
        A PIL image of mode RGB.

    Raises:
        ImageError: For bytes of any other kind; the message is the reason.
    """
    with DECODING.claim() as memory:
        return _read(image, at_least, options, memory).image


def _read(
    image: bytes | Image.Image, at_least: int | None, options: DecodeOptions, memory: MemoryClaim
) -> Picture:
    """Decode; the one place where an error inside a decoder becomes an `ImageError`."""
    source = image if isinstance(image, bytes) else _unread_file(image) or image
    try:
        if isinstance(source, bytes):
            return _read_file_or_complete_it(source, at_least, options, memory)
        return _read_pil(source, options, memory)
    except ImageError:
        raise
    except Exception as error:  # decoders raise almost every class of error on bad bytes
        data = source if isinstance(source, bytes) else b""
        raise ImageError(_why_broken(error, data)) from error


def _read_file_or_complete_it(
    data: bytes, at_least: int | None, options: DecodeOptions, memory: MemoryClaim
) -> Picture:
    """Decode a file; with `lenient`, also a JPEG file that lacks no more than its last bytes."""
    try:
        return _read_file(data, at_least, options, memory)
    except ImageError:
        raise
    except Exception as error:
        if not (options.lenient and _is_truncated(error) and data.startswith(JPEG_START)):
            raise
    completed = completed_jpeg(data)
    if completed is None:
        raise ImageError("is truncated, and lacks more than its last bytes")
    return _read_file(completed, at_least, DEFAULTS, memory)


def _unread_file(image: Image.Image) -> bytes | None:
    """Return the file of a PIL image that was opened and not loaded; None for any other image.

    The file has more than Pillow keeps: the lower bytes of 16-bit colours, the depth of greys.
    """
    if (
        not isinstance(image, ImageFile)
        or image.fp is None
        or not image.tile
        or image.format not in (*FORMATS, "MPO")
        or image.decoderconfig  # drafted
        or image.tell() != 0
    ):
        return None
    file = image.fp
    try:
        position = file.tell()
        try:
            file.seek(0)
            data: bytes = file.read(MAX_FILE_BYTES + 1)
        finally:
            file.seek(position)
    except (OSError, ValueError):
        return None
    return data if len(data) <= MAX_FILE_BYTES else None


def _read_pil(image: Image.Image, options: DecodeOptions, memory: MemoryClaim) -> Picture:
    _check_size(image)
    encoding = encoding_of(image)
    memory.take(image.width * image.height * BYTES_PER_PIXEL)
    image.load()
    if image.mode in ("L", "RGB") and "transparency" in image.info:
        image = image.copy()  # its value is changed
    picture = Picture(to_rgb(image, encoding, options), *image.size)
    return _upright(picture, _orientation(image))


def _read_file(
    data: bytes, at_least: int | None, options: DecodeOptions, memory: MemoryClaim
) -> Picture:
    if not data:
        raise ImageError("is empty (0 bytes)")
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"has {len(data):,} bytes, over the limit of {MAX_FILE_BYTES:,}")
    _check_scans(data)
    image = open_file(data)
    _check_size(image)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        libtiff.silence()
        _correct_tiles(image)
    encoding = encoding_of(image)
    full_pixels = image.width * image.height
    reduced = _scale_down(image, at_least)
    needs_low_bytes = encoding.has_16_bit_rgb and (
        options.stretch_16bit or "transparency" in image.info
    )
    memory.take(_memory_of(image, full_pixels) * (1 + needs_low_bytes))
    image.load()
    low_bytes = _low_bytes(data) if needs_low_bytes else None
    width, height = reduced or image.size
    picture = Picture(to_rgb(image, encoding, options, low_bytes), width, height)
    orientation = _orientation(image)
    del image, low_bytes  # free them before the picture is turned
    return _upright(picture, orientation)


def _memory_of(image: ImageFile, full_pixels: int) -> int:
    """Return the most bytes that decoding takes; `full_pixels` is the size before the draft."""
    per_pixel = BYTES_PER_PIXEL + DECODER_BYTES_PER_PIXEL.get(image.format or "", 0)
    size = image.width * image.height * per_pixel
    if image.info.get("progressive"):
        size += full_pixels * len(image.getbands()) * PROGRESSIVE_BYTES_PER_SAMPLE
    return size


def _correct_tiles(image: TiffImagePlugin.TiffImageFile) -> None:
    """Correct how Pillow reads some kinds of TIFF whose pixels it gets wrong.

    - Compressed, big-endian, of signed or float samples: libtiff returns them in the machine's
      order, and Pillow swaps their bytes.
    - Uncompressed, with the channels one after the other: Pillow reads 16 bits as if they were 8,
      and fails for multiplied alpha. libtiff reads both right.
    - Uncompressed, 8 bits with 0 as white and reversed bits: Pillow names a layout that it lacks.
    """
    tags = image.tag_v2
    if not image.tile:
        return
    layout = rawmode_of(image)
    if image.use_load_libtiff:
        rawmode = NATIVE_RAWMODES.get(layout or "")
    elif tags.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == 2 and image.mode in PLANAR_MODES:
        bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))[0]
        rawmode = f"{image.mode};16N" if bits == 16 else image.mode
    else:
        rawmode = "L;I" if layout == "L;IR" else None
    if rawmode is not None:
        tile = image.tile[0]._replace(codec_name="libtiff", extents=(0, 0, *image._tile_size))
        image.tile = [tile._replace(offset=0, args=(rawmode, False, tags.offset))]
        image.use_load_libtiff = True


def _low_bytes(data: bytes) -> Image.Image:
    """Decode the lower bytes of RGB of 16 bits per channel, where Pillow gives the upper ones.

    Pillow takes the byte that the order of the file's bytes says is the upper one: with the other
    order, it takes the lower one.
    """
    image = open_file(data)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _correct_tiles(image)
    order = (rawmode_of(image) or "")[-1:].replace("N", ORDER)
    rawmode = "RGB;16B" if order == "L" else "RGB;16L"
    tiles = []
    for tile in image.tile:
        rest = tile.args[1:] if isinstance(tile.args, tuple) else None
        tiles.append(tile._replace(args=rawmode if rest is None else (rawmode, *rest)))
    image.tile = tiles
    image.load()
    return image


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


def _is_truncated(error: Exception) -> bool:
    return "truncated" in str(error).lower()


def _why_broken(error: Exception, data: bytes) -> str:
    text = one_line(error)
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if isinstance(error, Image.DecompressionBombError):
        return f"has too many pixels ({text})"
    if _is_truncated(error):
        return "is truncated"
    name = name_of(data)
    if name is not None and UNSUPPORTED.search(text):
        return f"is {name} of a kind that is not read ({text}): convert it to PNG or JPEG"
    compression = _missing_compression(data) if name == "TIFF" else None
    if compression is not None:
        return f"is TIFF with {compression} compression, which this Pillow cannot read"
    if "too large" in text:
        return f"has metadata over a limit ({text})"
    return f"is truncated or broken ({text})"


def _missing_compression(data: bytes) -> str | None:
    """Return the name of a TIFF file's compression, where libtiff lacks it."""
    try:
        compression = TiffImagePlugin.TiffImageFile(io.BytesIO(data)).tag_v2.get(
            TiffImagePlugin.COMPRESSION, 1
        )
    except Exception:  # the header is broken as well
        return None
    if libtiff.can_decompress(compression):
        return None
    return TiffImagePlugin.COMPRESSION_INFO.get(compression, str(compression))
