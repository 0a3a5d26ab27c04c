"""Recognise and open image files of the supported formats; name the others."""

from __future__ import annotations

import io
from contextlib import suppress
from functools import cache

from PIL import Image
from PIL.ImageFile import ImageFile

from mm_milvus.errors import ImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF", "JPEG2000", "PPM")
"""The formats that are opened. A closed list: some other Pillow plug-ins run programs (EPS), read
other files (MIC, FPX) or decode in slow Python (BLP, DDS). JPEG includes MPO."""

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")

OTHER_FORMATS = (
    (0, b"8BPS", "Photoshop"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"%PDF", "PDF"),
    (0, b"<svg", "SVG"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"DDS ", "DDS"),
    (0, b"qoif", "QOI"),
    (0, b"icns", "ICNS"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"SIMPLE  =", "FITS"),
    (128, b"DICM", "DICOM"),
    (0, b"/* XPM", "XPM"),
    (0, b"P7\n", "PAM"),
    (0, b"P7 ", "XV thumbnail"),
    (0, b"\x01\xda", "SGI"),
    (0, b"\x59\xa6\x6a\x95", "Sun raster"),
    (0, b"\xb1\x68\xde\x3a", "DCX"),
    (0, b"\x0a\x05\x01", "PCX"),
    (0, b"\x0a\x02\x01", "PCX"),
    (0, b"BLP1", "BLP"),
    (0, b"BLP2", "BLP"),
    (0, b"FTEX", "FTEX"),
    (4, b"\x11\xaf", "FLI"),
    (4, b"\x12\xaf", "FLC"),
    (0, b"GRIB", "GRIB"),
    (0, b"BUFR", "BUFR"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE container"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"\x1f\x8b", "gzip"),
    (4, b"ftypisom", "MP4"),
    (4, b"ftypmp4", "MP4"),
    (4, b"ftypqt", "QuickTime"),
    (8, b"AVI ", "AVI"),
)
"""Formats that are not opened: the place of their mark, the mark, and their name."""


def open_file(data: bytes) -> ImageFile:
    """Read the header of an image file.

    The plug-ins are called directly: `Image.open` compares an image with the host application's
    limit of pixels, with a warning or an error, before it can be compared with our own.

    Raises:
        ImageError: When the file is of no format that can be read.
        Exception: Any error of a plug-in that recognises the file and cannot read its header.
    """
    if _is_heic(data) and "HEIF" not in formats():
        raise ImageError("is HEIC, which needs a plug-in: pip install pillow-heif")
    failure: Exception | None = None
    for name in formats():
        factory, accepts = Image.OPEN[name]
        accepted = accepts is not None and accepts(data[:16])
        if isinstance(accepted, str):
            raise ImageError(f"is {name}, which this Pillow cannot read: pip install -U pillow")
        if not accepted or (name == "PPM" and not _is_netpbm(data)):
            continue
        try:
            return factory(io.BytesIO(data), "")
        except Exception as error:  # AVIF and HEIC share a container: try the next plug-in
            failure = error
    raise failure or ImageError(why_unidentified(data))


@cache
def formats() -> tuple[str, ...]:
    """Return those of `FORMATS` that this installation can read."""
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def name_of(data: bytes) -> str | None:
    """Return the name of the supported format that a file begins like; None for any other."""
    for name in formats():
        accepts = Image.OPEN[name][1]
        if accepts is not None and accepts(data[:16]) is True:
            return "JPEG 2000" if name == "JPEG2000" else name
    return None


def why_unidentified(data: bytes) -> str:
    """Return why a file that no plug-in recognises is rejected."""
    for start, mark, name in OTHER_FORMATS:
        if data.startswith(mark, start):
            return f"is {name}, which is not read: convert it to PNG or JPEG"
    text = " ".join(data[:24].decode("latin-1").split())
    if text and text.isascii() and text.isprintable():
        return f"is not an image: it begins with {text!r}"
    return f"is not an image that can be read: it begins with the bytes {data[:8].hex(' ')}"


def _is_heic(data: bytes) -> bool:
    brands = data[8 : int.from_bytes(data[:4])]
    return data[4:8] == b"ftyp" and any(brand in brands for brand in HEIC_BRANDS)


def _is_netpbm(data: bytes) -> bool:
    """Return whether a file has a mark of Netpbm; Pillow also accepts words such as "Python"."""
    return data[1:2] in b"123456f" and data[2:3] in b" \t\n\r\x0b\x0c#"
