"""Images: one decoder for every way of passing an image; damaged ends, memory, suffixes, logs."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from image_files import png, saved, tiff
from mm_milvus.errors import ImageError
from mm_milvus.images import memory
from mm_milvus.images.decoding import decode, load_pixels
from mm_milvus.images.formats import FORMATS, formats
from mm_milvus.images.load import load_image
from mm_milvus.images.memory import MemoryBudget
from mm_milvus.images.options import DecodeOptions
from mm_milvus.images.preprocessing import Preprocessing
from mm_milvus.images.suffixes import IMAGE_SUFFIXES
from webserver import WebServer, web_server

LENIENT = DecodeOptions(lenient=True)
ENCODER = Preprocessing(32, 32, 32, "bicubic", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
SOURCE = str(Path(__file__).parents[1] / "src")


def smooth(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Return a picture whose parts all differ."""
    values = np.random.default_rng(seed).integers(0, 256, (9, 11, 4), dtype=np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


# One decoder


@pytest.fixture(scope="module")
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def files() -> dict[str, bytes]:
    """Return a file of each kind that a decoder may treat in a way of its own."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = exif.tobytes()
    deep = np.random.default_rng(1).integers(0, 65_536, (12, 17, 3))
    palette = smooth(17, 12).convert("P", palette=Image.Palette.ADAPTIVE)
    return {
        "turned.jpg": saved(smooth(33, 20), "JPEG", exif=turned),
        "turned.png": saved(smooth(33, 20), "PNG", exif=turned),
        "turned.webp": saved(smooth(33, 20), "WEBP", exif=turned),
        "turned.tif": saved(smooth(33, 20), "TIFF", exif=turned),
        "turned-lzw.tif": saved(smooth(33, 20), "TIFF", exif=turned, compression="tiff_lzw"),
        "cmyk.jpg": saved(smooth(17, 12, "CMYK"), "JPEG"),
        "cmyk.tif": saved(smooth(17, 12, "CMYK"), "TIFF"),
        "lab.tif": saved(Image.merge("LAB", smooth(17, 12).split()), "TIFF"),
        "deep.png": saved(Image.fromarray(deep[..., 0].astype(np.uint16)), "PNG"),
        "deep.tif": tiff(deep[..., 0].astype(np.uint16), 16, order=">"),
        "12.tif": tiff((deep[..., 0] >> 4).astype(np.uint16), 12),
        "signed.tif": tiff((deep[..., 0] - 32_768).astype(np.int16), 16, sample_format=2),
        "inverted.tif": tiff(deep[..., 0].astype(np.uint16), 16, photometric=0),
        "float.tif": saved(Image.fromarray(deep[..., 0].astype(np.float32)), "TIFF"),
        "palette.png": saved(palette, "PNG", transparency=5),
        "alphas.png": saved(palette, "PNG", transparency=bytes(range(256))),
        "palette.gif": saved(palette, "GIF", transparency=5),
        "grey-alpha.png": saved(smooth(17, 12, "LA"), "PNG"),
        "alpha.png": saved(smooth(17, 12, "RGBA"), "PNG"),
        "alpha.webp": saved(smooth(17, 12, "RGBA"), "WEBP"),
        "4-bit-key.png": png(deep[..., 0] >> 12, 4, 0, transparent=(7,)),
        "16-bit-key.png": png(deep, 16, 2, transparent=tuple(deep[3, 3].tolist())),
        "deep-key.png": png(deep[..., 0], 16, 0, transparent=(int(deep[2, 2, 0]),)),
        "bits.bmp": saved(smooth(17, 12, "1"), "BMP"),
        "grey.jp2": saved(smooth(40, 40, "L"), "JPEG2000"),
        "plain.ppm": saved(smooth(17, 12), "PPM"),
    }


@pytest.mark.parametrize("name", files())
def test_a_file_gives_the_same_pixels_by_every_way(name, web, tmp_path):
    data = web.files[name] = files()[name]
    path = tmp_path / name
    path.write_bytes(data)
    expected = np.asarray(decode(data))
    with Image.open(path) as from_path, Image.open(io.BytesIO(data)) as from_bytes:
        ways = {
            "path": path,
            "URI": path.as_uri(),
            "URL": f"{web.url}/plain/{name}",
            "PIL image of a path": from_path,
            "PIL image of bytes": from_bytes,
            "array of the result": expected,
        }
        for way, image in ways.items():
            np.testing.assert_array_equal(np.asarray(load_image(image)), expected, err_msg=way)
            if isinstance(image, Image.Image):  # it can be used afterwards
                np.testing.assert_array_equal(
                    load_pixels(image, ENCODER), load_pixels(data, ENCODER)
                )
                image.load()


LOADED_DIFFERS = {"4-bit-key.png", "16-bit-key.png"}
"""Pillow does not keep the depth of a PNG, nor the lower bytes of its colours."""


@pytest.mark.parametrize("name", sorted(files().keys() - LOADED_DIFFERS))
def test_a_pil_image_that_is_loaded_gives_the_pixels_of_its_file(name):
    data = files()[name]
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        np.testing.assert_array_equal(np.asarray(load_image(image)), np.asarray(decode(data)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from([np.uint8, np.uint16]),
    st.sampled_from([(), (3,), (4,)]),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(0, 99),
)
def test_an_array_gives_the_pixels_of_its_png(dtype, channels, height, width, seed):
    bits = np.dtype(dtype).itemsize * 8
    pixels = np.random.default_rng(seed).integers(0, 2**bits, (height, width, *channels))
    data = png(pixels, bits, {(): 0, (3,): 2, (4,): 6}[channels])
    expected = np.asarray(decode(data))
    for array in (pixels.astype(dtype), np.asfortranarray(pixels.astype(f">u{bits // 8}"))):
        np.testing.assert_array_equal(np.asarray(load_image(array)), expected)
    if not channels:
        array = pixels[..., None].astype(dtype)
        np.testing.assert_array_equal(np.asarray(load_image(array)), expected)


def test_another_frame_of_a_pil_image_is_used_as_it_is():
    frames = [smooth(16, 12, seed=seed) for seed in (1, 2)]
    data = saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(data)) as image:
        image.seek(1)
        assert ImageChops.difference(load_image(image), frames[1]).getbbox() is None


# JPEG without its end


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"restart_marker_rows": 1}],
    ids=["sequential", "progressive", "restarts"],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("at_least", [None, 30])
def test_a_jpeg_without_its_end_is_accepted_on_request(options, mode, at_least):
    whole = saved(smooth(200, 160, mode), "JPEG", **options)
    for end in (1, 2):
        if (
            mode != "L" or options
        ):  # Pillow accepts a sequential grey file, whose rows are all there
            with pytest.raises(ImageError, match=r"^is truncated$"):
                decode(whole[:-end])
        image = decode(whole[:-end], options=LENIENT, at_least=at_least)
        assert ImageChops.difference(image, decode(whole, at_least=at_least)).getbbox() is None
    if mode == "CMYK" and "progressive" in options:
        return  # its last eight bytes are a scan
    image = np.asarray(decode(whole[:-8], options=LENIENT)).astype(int)
    np.testing.assert_array_equal(image[:140], np.asarray(decode(whole))[:140])


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_jpeg_that_lacks_more_than_its_end_is_rejected(options, share):
    data = saved(smooth(200, 160), "JPEG", **options)
    with pytest.raises(ImageError, match=r"^is truncated, and lacks more than its last bytes$"):
        decode(data[: int(len(data) * share)], options=LENIENT)


@pytest.mark.parametrize("name", ["PNG", "GIF", "TIFF"])
def test_other_truncated_formats_are_rejected_as_before(name):
    with pytest.raises(ImageError, match="truncated"):
        decode(saved(smooth(90, 60), name)[:-90], options=LENIENT)


# Memory


PEAK = """
import sys
sys.path[:0] = {path!r}
from mm_milvus.images.decoding import decode
def status(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
small, large = (open(name, "rb").read() for name in sys.argv[1:])
decode(small)
before = status("VmRSS")
open("/proc/self/clear_refs", "w").write("5")
image = decode(large)
print((status("VmHWM") - before) / (image.width * image.height))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("kind", ["grey", "16-bit grey", "float", "alpha", "turned", "16-bit key"])
def test_decoding_takes_no_more_memory_than_is_promised(kind, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6

    def file(side: int) -> bytes:
        deep = np.zeros((side, side), np.uint16)
        deep[::50] = 40_000
        match kind:
            case "grey":
                return saved(Image.new("L", (side, side), 9), "PNG")
            case "16-bit grey":
                return saved(Image.fromarray(deep), "PNG")
            case "float":
                return saved(Image.fromarray(deep.astype(np.float32)), "TIFF")
            case "alpha":
                return saved(Image.new("RGBA", (side, side), (9, 9, 9, 9)), "PNG")
            case "turned":
                return saved(Image.new("RGB", (side, side), "red"), "JPEG", exif=exif.tobytes())
        return png(np.zeros((side, side, 3), np.uint16), 16, 2, transparent=(1, 2, 3))

    for name, side in (("small", 64), ("large", 3000)):
        (tmp_path / name).write_bytes(file(side))
    output = subprocess.check_output(
        [sys.executable, "-c", PEAK.format(path=[SOURCE]), tmp_path / "small", tmp_path / "large"]
    )
    strip = 2  # bytes per pixel: one strip of 10 MB, and what the allocator keeps
    assert float(output) < (12 if kind == "16-bit key" else 8) + strip


def test_threads_share_a_budget_in_order_and_no_picture_waits_for_ever():
    budget = MemoryBudget(100)
    lock, running, peak = threading.Lock(), 0, 0

    def work(size: int) -> int:
        nonlocal running, peak
        with budget.claim() as claim:
            claim.take(size)
            with lock:
                running += min(size, 100)
                peak = max(peak, running)
            threading.Event().wait(0.001)
            with lock:
                running -= min(size, 100)
        return size

    sizes = [1, 30, 500, 60, 100, 7] * 20
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(work, sizes, timeout=60)) == sizes
    assert peak <= 100


def test_a_failed_picture_gives_its_part_back(monkeypatch):
    budget = MemoryBudget(1)
    monkeypatch.setattr("mm_milvus.images.decoding.DECODING", budget)
    for _ in range(3):
        with pytest.raises(ImageError):
            decode(saved(smooth(90, 60), "PNG")[:-400])
        assert decode(saved(smooth(90, 60), "PNG")).size == (90, 60)
    assert memory.MEMORY_BYTES == 2 * 2**30


# The terminal


@pytest.mark.parametrize(
    "kind", ["unknown compression", "broken data", "samples", "broken directory"]
)
def test_decoders_write_nothing_to_the_terminal(kind):
    data = bytearray(tiff(np.zeros((40, 40), np.uint8), 8, compressed=True))
    match kind:
        case "unknown compression":
            place = data.index(b"\x03\x01\x03\0\x01\0\0\0")
            data[place + 8 : place + 10] = (34_925).to_bytes(2, "little")
        case "broken data":
            data[9:20] = bytes(11)
        case "samples":
            place = data.index(b"\x15\x01\x03\0\x01\0\0\0")
            data[place + 8 : place + 10] = b"\xff\xff"
        case "broken directory":
            place = data.index(b"\x16\x01\x03\0\x01\0\0\0")
            data[place + 8 : place + 10] = b"\0\0"
    program = (
        f"import sys; sys.path.insert(0, {SOURCE!r})\n"
        "from mm_milvus.images.decoding import decode\n"
        "try: decode(sys.stdin.buffer.read())\n"
        "except Exception as error: print(error)\n"
    )
    process = subprocess.run(
        [sys.executable, "-W", "always", "-c", program], input=data, capture_output=True, check=True
    )
    assert process.stderr == b""


# Formats


def test_the_suffixes_are_those_that_pillow_registers():
    Image.init()
    registered = {
        suffix
        for suffix, name in Image.registered_extensions().items()
        if name in (*FORMATS, "MPO")
    }
    plugin = {".heic", ".heics", ".heif", ".heifs", ".hif"}
    assert IMAGE_SUFFIXES - plugin == (registered - plugin) - {".dib"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"8BPS\0\1" + bytes(50), "is Photoshop, which is not read: convert it to PNG or JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "is PostScript, which is not read: .*"),
        (b"\xff\x0a" + bytes(50), "is JPEG XL, which is not read: .*"),
        (b"<svg xmlns=", "is SVG, which is not read: .*"),
        (b"\0\0\1\0\1\0\x10\x10", "is ICO, which is not read: .*"),
        (bytes(128) + b"DICM", "is DICOM, which is not read: .*"),
        (b"Python is a language", "is not an image: it begins with 'Python is a language'"),
        (b"P6x", "is not an image: it begins with 'P6x'"),
    ],
)
def test_a_format_that_is_not_read_is_named(data, reason):
    with pytest.raises(ImageError, match=f"^{reason}$"):
        decode(data)


def test_jpeg_2000_and_netpbm_are_read():
    assert {"JPEG2000", "PPM"} <= set(formats())
    image = smooth(40, 30)
    lossless = decode(saved(image, "JPEG2000", irreversible=False))
    assert ImageChops.difference(lossless, image).getbbox() is None
    assert ImageChops.difference(decode(saved(image, "PPM")), image).getbbox() is None


def test_a_compression_that_libtiff_lacks_is_named(monkeypatch):
    monkeypatch.setattr("mm_milvus.images.libtiff.can_decompress", lambda _: False)
    data = tiff(np.zeros((40, 40), np.uint8), 8, compressed=True)
    broken = data[:8] + bytes(8) + data[16:]
    reason = "^is TIFF with tiff_adobe_deflate compression, which this Pillow cannot read$"
    with pytest.raises(ImageError, match=reason):
        decode(broken)
