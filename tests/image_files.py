"""Image files: as Pillow saves them, and PNG and TIFF files of kinds that it does not write."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def saved(image: Image.Image, name: str, **options: object) -> bytes:
    """Return the file that Pillow makes of an image."""
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def png_of_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG file of chunks: names and contents."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def png_header(width: int, height: int) -> bytes:
    """Return a grey PNG whose header claims this size, with next to no data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return png_of_chunks((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 99)))


def packed(samples: np.ndarray, bits: int, order: str) -> bytes:
    """Pack rows of unsigned samples, (height, samples), of 1 to 32 bits; each row is padded.

    Args:
        samples: The numbers.
        bits: Bits of each.
        order: Of the bytes of 16 and 32 bits: "<" or ">".
    """
    if bits in (8, 16, 32):
        return samples.astype(f"{order}u{bits // 8}").tobytes()
    shifts = np.arange(bits - 1, -1, -1)
    ones = (samples[..., None].astype(np.uint32) >> shifts & 1).reshape(len(samples), -1)
    return np.packbits(ones.astype(np.uint8), axis=1).tobytes()


def png(
    samples: np.ndarray,
    bits: int,
    colour_type: int,
    *,
    transparent: tuple[int, ...] | bytes | None = None,
    palette: bytes | None = None,
) -> bytes:
    """Return a PNG file.

    Args:
        samples: (height, width) or (height, width, channels).
        bits: Bits per sample.
        colour_type: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGBA.
        transparent: The chunk tRNS: the transparent sample or samples, or the alphas of a palette.
        palette: The colours of a palette.
    """
    height, width = samples.shape[:2]
    stride = -(-samples[0].size * bits // 8)
    data = packed(samples.reshape(height, -1), bits, ">")
    rows = b"".join(b"\0" + data[start : start + stride] for start in range(0, len(data), stride))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))]
    if palette is not None:
        chunks.append((b"PLTE", palette))
    if isinstance(transparent, tuple):
        transparent = struct.pack(f">{len(transparent)}H", *transparent)
    if transparent is not None:
        chunks.append((b"tRNS", transparent))
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return png_of_chunks(*chunks)


def tiff(
    samples: np.ndarray,
    bits: int,
    *,
    order: str = "<",
    photometric: int = 1,
    sample_format: int = 1,
    fill_order: int = 1,
    planar: bool = False,
    extra: int | None = None,
    compressed: bool = False,
) -> bytes:
    """Return a TIFF file of one strip per plane.

    Args:
        samples: (height, width) or (height, width, channels); signed and float ones are stored by
            their bits.
        bits: Bits per sample.
        order: Of bytes: "<" or ">".
        photometric: 0 grey with white 0, 1 grey, 2 RGB, 5 CMYK.
        sample_format: 1 unsigned, 2 signed, 3 float.
        fill_order: 2: the bits of each byte are reversed.
        planar: Store the channels one after the other.
        extra: Kind of the last channel: 1 multiplied alpha, 2 alpha.
        compressed: By deflate.
    """
    height, width = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    numbers = samples.view(f"u{samples.itemsize}")
    planes = np.moveaxis(numbers, -1, 0) if planar else [numbers]
    strips = [packed(plane.reshape(height, -1), bits, order) for plane in planes]
    if compressed:
        strips = [zlib.compress(strip) for strip in strips]
    if fill_order == 2:
        strips = [
            np.packbits(
                np.unpackbits(np.frombuffer(strip, np.uint8)).reshape(-1, 8)[:, ::-1]
            ).tobytes()
            for strip in strips
        ]
    offsets, data = [], b""
    for strip in strips:
        offsets.append(8 + len(data))
        data += strip + b"\0" * (len(strip) % 2)
    tags = {
        256: (3, [width]),
        257: (3, [height]),
        258: (3, [bits] * channels),
        259: (3, [8 if compressed else 1]),
        262: (3, [photometric]),
        266: (3, [fill_order]),
        273: (4, offsets),
        277: (3, [channels]),
        278: (3, [height]),
        279: (4, [len(strip) for strip in strips]),
        284: (3, [2 if planar else 1]),
        339: (3, [sample_format] * channels),
    }
    if extra is not None:
        tags[338] = (3, [extra])
    directory_at = 8 + len(data)
    rest_at = directory_at + 2 + 12 * len(tags) + 4
    directory, rest = struct.pack(order + "H", len(tags)), b""
    for tag, (kind, values) in sorted(tags.items()):
        body = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(body) > 4:
            field = struct.pack(order + "I", rest_at + len(rest))
            rest += body + b"\0" * (len(body) % 2)
        else:
            field = body.ljust(4, b"\0")
        directory += struct.pack(order + "HHI", tag, kind, len(values)) + field
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "I", directory_at) + data + directory + b"\0\0\0\0" + rest
