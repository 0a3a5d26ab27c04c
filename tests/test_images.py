"""Images: every format and mode becomes upright RGB; every failure is an ImageError."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps, features
from transformers import (
    ChineseCLIPImageProcessorPil,
    CLIPImageProcessorPil,
    SiglipImageProcessorPil,
)

from image_files import png_header, saved
from mm_milvus.errors import ImageError, SourceError
from mm_milvus.images import decoding
from mm_milvus.images.decoding import decode, load_pixels
from mm_milvus.images.load import load_image
from mm_milvus.images.preprocessing import Preprocessing

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"] + ["AVIF"] * features.check("avif")
ORIENTATION = 0x0112
NO_NORMALISATION = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


# Pillow's warnings about broken metadata; another test checks that the package silences them.
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")


def fit(height: int, width: int, shortest_edge: int | None) -> Preprocessing:
    return Preprocessing(height, width, shortest_edge, "bicubic", *NO_NORMALISATION)


CLIP, SQUASH = fit(224, 224, 224), fit(160, 160, None)
PLAIN = {"do_rescale": False, "do_normalize": False}
Processor = ChineseCLIPImageProcessorPil | CLIPImageProcessorPil | SiglipImageProcessorPil


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def smooth(width: int, height: int) -> Image.Image:
    return noise(13, 11).resize((width, height), Image.Resampling.BICUBIC)


def quadrants() -> Image.Image:
    """Return 64 x 32 pixels: red and green at the top, blue and white at the bottom."""
    image = Image.new("RGB", (64, 32), RED)
    image.paste(GREEN, (32, 0, 64, 16))
    image.paste(BLUE, (0, 16, 32, 32))
    image.paste(WHITE, (32, 16, 64, 32))
    return image


def oriented(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    """Return the colours at the top left, top right, bottom left and bottom right, as 0 or 255."""
    right, bottom = image.width - 4, image.height - 4
    points = [(4, 4), (right, 4), (4, bottom), (right, bottom)]
    return [tuple(255 * (value > 127) for value in image.getpixel(point)) for point in points]


def pixel(data: bytes, x: int = 0, y: int = 0) -> tuple[int, ...]:
    image = decode(data)
    assert image.mode == "RGB"
    return image.getpixel((x, y))


def greys(values: np.ndarray) -> list[int]:
    """Return the greys of one row of numbers that is stored as a TIFF."""
    return np.asarray(decode(saved(Image.fromarray(values[None]), "TIFF")))[0, :, 1].tolist()


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours.astype(int) - theirs).mean())


# Formats


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read(name):
    image = decode(saved(Image.new("RGB", (32, 24), RED), name))
    assert (image.mode, image.size) == ("RGB", (32, 24))
    assert image.getpixel((16, 12)) == pytest.approx(RED, abs=2)


def test_progressive_and_grey_jpeg_are_read():
    assert pixel(saved(smooth(64, 48), "JPEG", progressive=True), 5, 5) == pixel(
        saved(smooth(64, 48), "JPEG"), 5, 5
    )
    assert pixel(saved(Image.new("L", (16, 16), 77), "JPEG")) == (77, 77, 77)


@pytest.mark.parametrize(
    "name", sorted({"GIF", "WEBP", "PNG", "TIFF", "AVIF", "MPO"} & {*FORMATS, "MPO"})
)
def test_the_first_frame_of_an_animation_is_decoded(name):
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
    data = saved(first, name, save_all=True, append_images=[second])
    assert pixel(data, 8, 8) == pytest.approx(RED, abs=3)


@pytest.mark.skipif(find_spec("pillow_heif") is not None, reason="pillow-heif is installed")
def test_heic_names_the_plugin_that_reads_it():
    with pytest.raises(ImageError, match=r"^is HEIC, .*: pip install pillow-heif$"):
        decode(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(99))


def test_heic_is_read_with_the_plugin():
    pytest.importorskip("pillow_heif").register_heif_opener()
    data = saved(quadrants(), "HEIF", quality=95, exif=oriented(6))
    assert corners(decode(data)) == [BLUE, RED, WHITE, GREEN]


# Orientation


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]),
        (5, [RED, BLUE, GREEN, WHITE]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]),
        (8, [GREEN, WHITE, RED, BLUE]),
        (0, [RED, GREEN, BLUE, WHITE]),
        (99, [RED, GREEN, BLUE, WHITE]),
    ],
)
def test_exif_orientation_is_applied(orientation, expected):
    image = decode(saved(quadrants(), "JPEG", exif=oriented(orientation)))
    assert image.size == ((32, 64) if 5 <= orientation <= 8 else (64, 32))
    assert corners(image) == expected


@pytest.mark.parametrize("name", sorted({"JPEG", "PNG", "WEBP", "TIFF", "AVIF"} & {*FORMATS}))
@pytest.mark.parametrize("exact", [True, False])
def test_orientation_is_applied_once_in_every_format(name, exact):
    """Some decoders apply the orientation themselves."""
    data = saved(quadrants(), name, exif=oriented(6))
    assert corners(decode(data)) == [BLUE, RED, WHITE, GREEN]
    pixels = load_pixels(data, fit(60, 30, 30), exact=exact)
    assert pixels.shape == (60, 30, 3)
    assert corners(Image.fromarray(pixels)) == [BLUE, RED, WHITE, GREEN]


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0rubbish", b"Exif\0\0"]
)
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_a_broken_exif_block_does_not_reject_the_picture(name, exif):
    data = saved(Image.new("RGB", (8, 8), RED), name, exif=exif)
    assert pixel(data) == pytest.approx(RED, abs=2)


# Modes


@pytest.mark.parametrize(
    ("image", "name", "expected"),
    [
        (Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG", WHITE),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 128)), "PNG", (255, 127, 127)),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 255)), "WEBP", RED),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "TIFF", WHITE),
        (Image.new("LA", (8, 8), (0, 0)), "PNG", WHITE),
        (Image.new("LA", (8, 8), (0, 128)), "PNG", (127, 127, 127)),
        (Image.new("PA", (8, 8), (0, 0)), "TIFF", WHITE),
        (Image.new("L", (8, 8), 77), "PNG", (77, 77, 77)),
        (Image.new("1", (8, 8), 1), "PNG", WHITE),
        (Image.new("1", (8, 8), 0), "TIFF", (0, 0, 0)),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF", RED),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", RED),
        (Image.new("YCbCr", (8, 8), (76, 85, 255)), "JPEG", RED),
        (Image.new("YCbCr", (8, 8), (76, 85, 255)), "TIFF", RED),
    ],
)
def test_every_mode_becomes_rgb(image, name, expected):
    lossy = {"lossless": True} if name == "WEBP" else {}
    assert pixel(saved(image, name, **lossy)) == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("name", ["PNG", "GIF"])
def test_a_transparent_palette_is_put_on_white(name):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    assert pixel(saved(image, name)) == RED
    transparent = saved(image, name, transparency=0)
    assert (pixel(transparent), pixel(transparent, 1)) == (WHITE, BLUE)


def test_a_palette_of_half_transparent_colours_is_blended():
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0])
    assert pixel(saved(image, "PNG", transparency=b"\x80")) == (255, 127, 127)


@pytest.mark.parametrize(("mode", "key"), [("RGB", RED), ("L", 7), ("1", 1)])
def test_a_colour_marked_as_transparent_is_put_on_white(mode, key):
    assert pixel(saved(Image.new(mode, (4, 4), key), "PNG", transparency=key)) == WHITE


@pytest.mark.parametrize(("value", "grey"), [(0, 0), (300, 1), (32_768, 128), (65_535, 255)])
@pytest.mark.parametrize(("mode", "name"), [("I;16", "PNG"), ("I;16", "TIFF"), ("I;16B", "TIFF")])
def test_16_bits_are_scaled_and_not_clipped(mode, name, value, grey):
    assert pixel(saved(Image.new(mode, (4, 4), value), name)) == (grey, grey, grey)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 32_768, 65_535], np.int32), [0, 128, 255]),
        (np.array([0, 500_000, 1_000_000], np.int32), [0, 128, 255]),
        (np.array([-100, 0, 155], np.int32), [0, 100, 255]),
        (np.array([0.25, 0.5, 1], np.float32), [64, 128, 255]),
        (np.array([0.5, 0.5], np.float32), [128, 128]),
        (np.array([10, 254.7], np.float32), [10, 255]),
        (np.array([0, 65_535], np.float32), [0, 255]),
        (np.array([-3e38, 0, 3e38], np.float32), [0, 128, 255]),
        (np.array([-5, -5], np.float32), [0, 0]),
        (np.array([np.nan, 1, np.inf, -np.inf], np.float32), [0, 255, 0, 0]),
    ],
)
def test_deep_pixels_are_scaled_by_the_range_that_their_values_suggest(values, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert greys(values) == expected


def test_an_image_with_a_colour_profile_is_read():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = saved(Image.new("RGB", (8, 8), BLUE), "JPEG", icc_profile=profile)
    assert pixel(data) == pytest.approx(BLUE, abs=2)


# Rejected files


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"<!DOCTYPE html>\n<p>", "is not an image: it begins with '<!DOCTYPE html> <p>'"),
        (b"hello", "is not an image: it begins with 'hello'"),
        (bytes(500), r"is not an image that can be read: it begins with the bytes( 00){8}"),
        (saved(noise(64, 64), "JPEG")[:1500], "is truncated"),
        (saved(noise(64, 64), "PNG")[:5000], "is truncated"),
        (saved(noise(64, 64), "GIF")[:3000], "is truncated"),
        (saved(noise(64, 64), "WEBP")[:900], r"is truncated or broken \(.*\)"),
        (b"BMW cars are fast", r"is truncated or broken \(.*\)"),
        (png_header(20_000, 20_000), "has 400,000,000 pixels, over the limit of 178,956,970"),
        (png_header(70_000, 1), "is 70,000 x 1, over the limit of 65,535 a side"),
        (png_header(0, 5), r"is truncated or broken .*"),
    ],
)  # fmt: skip
def test_a_bad_file_is_rejected_with_the_reason(data, reason):
    with pytest.raises(ImageError, match=f"^{reason}$"):
        decode(data)


def scans(count: int) -> bytes:
    """Return a progressive JPEG whose last scan is repeated `count` times."""
    *head, last = saved(Image.new("L", (64, 64), 99), "JPEG", progressive=True).split(b"\xff\xda")
    return b"\xff\xda".join([*head, *[last[:-2]] * count]) + b"\xff\xd9"


def test_a_jpeg_of_too_many_scans_is_rejected():
    assert pixel(scans(50)) == (99, 99, 99)
    with pytest.raises(ImageError, match=r"^has 50,0\d\d scans, over the limit of 100$"):
        decode(scans(50_000))


def test_a_file_over_the_limit_of_bytes_is_rejected(monkeypatch):
    data = saved(noise(64, 64), "BMP")
    monkeypatch.setattr(decoding, "MAX_FILE_BYTES", len(data))
    assert decode(data).size == (64, 64)
    with pytest.raises(ImageError, match=r"^has 12,343 bytes, over the limit of 12,342$"):
        decode(data + b"\0")


def test_the_host_applications_limit_of_pixels_is_neither_used_nor_changed(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        assert decode(saved(noise(64, 64), "PNG")).size == (64, 64)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_broken_metadata_is_ignored_without_a_warning():
    """In a separate process, as pytest replaces the filters of warnings."""
    program = (
        "import sys; from mm_milvus.images.decoding import decode; decode(sys.stdin.buffer.read())"
    )
    data = saved(noise(8, 8), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    process = subprocess.run(
        [sys.executable, "-W", "always", "-c", program], input=data, capture_output=True, check=True
    )
    assert process.stderr == b""


@pytest.mark.parametrize("name", FORMATS)
def test_a_truncated_file_is_rejected_unless_all_of_its_picture_is_left(name):
    data = saved(noise(24, 16), name)
    whole = decode(data)
    for length in range(1, len(data), 5):
        try:
            image = decode(data[:length])
        except ImageError:
            continue
        assert image == whole or image.tobytes() == whole.tobytes(), f"{length} of {len(data)}"


# Preprocessing


def clip(processor: type, height: int, width: int) -> Processor:
    crop = {"height": height, "width": width}
    return processor(**PLAIN, size={"shortest_edge": 224}, crop_size=crop)


def siglip(height: int, width: int) -> Processor:
    return SiglipImageProcessorPil(**PLAIN, size={"height": height, "width": width})


def assert_equal_to(processor: Processor, preprocessing: Preprocessing, image: Image.Image) -> None:
    [theirs] = processor(images=image, return_tensors="np")["pixel_values"]
    ours = load_pixels(saved(image, "PNG"), preprocessing, exact=True)
    assert ours.dtype == np.uint8
    np.testing.assert_array_equal(ours, np.moveaxis(theirs, 0, -1))


SIZES = [(1, 1), (3, 2), (223, 225), (224, 224), (225, 224), (333, 517), (517, 333), (900, 7)]


@pytest.mark.parametrize("size", [*SIZES, (1, 500), (500, 1)])
def test_the_exact_path_equals_the_models_own_processors(size):
    assert_equal_to(clip(CLIPImageProcessorPil, 224, 224), CLIP, noise(*size))
    assert_equal_to(siglip(160, 160), SQUASH, noise(*size))


@pytest.mark.parametrize("size", [(3, 2), (225, 224), (333, 517)])
@pytest.mark.parametrize(
    ("processor", "preprocessing"),
    [
        (clip(ChineseCLIPImageProcessorPil, 224, 224), CLIP),
        (clip(CLIPImageProcessorPil, 199, 151), fit(199, 151, 224)),
        (clip(CLIPImageProcessorPil, 301, 256), fit(301, 256, 224)),
        (siglip(99, 160), fit(99, 160, None)),
    ],
    ids=["chinese-clip", "a crop of odd size", "a crop beyond the image", "no square"],
)
def test_the_exact_path_equals_processors_of_other_shapes(size, processor, preprocessing):
    assert_equal_to(processor, preprocessing, noise(*size))


@pytest.mark.parametrize(
    "resample", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
)
def test_the_resize_uses_the_named_filter(resample):
    preprocessing = Preprocessing(40, 40, None, resample, *NO_NORMALISATION)
    expected = noise(90, 70).resize((40, 40), Image.Resampling[resample.upper()])
    ours = load_pixels(saved(noise(90, 70), "PNG"), preprocessing, exact=True)
    np.testing.assert_array_equal(ours, np.asarray(expected))


@pytest.mark.parametrize("preprocessing", [CLIP, SQUASH, fit(100, 60, 90), fit(300, 256, 224)])
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (333, 517), (640, 480), (1601, 1203)])
def test_the_fast_path_equals_the_exact_one_where_there_is_no_scaled_decoding(preprocessing, size):
    data = saved(smooth(*size), "PNG")
    exact, fast = (load_pixels(data, preprocessing, exact=exact) for exact in (True, False))
    assert difference(exact, fast) < 0.1


@pytest.mark.parametrize(
    ("size", "orientation", "tolerance"),
    [
        ((1600, 1200), 1, 0.5),
        ((1203, 1601), 1, 0.5),
        ((1600, 1200), 6, 0.5),
        ((1203, 1601), 3, 1.5),
    ],
)
@pytest.mark.parametrize("preprocessing", [CLIP, SQUASH])
def test_scaled_decoding_is_near_the_exact_path(preprocessing, size, orientation, tolerance):
    """It is nearest for sizes that are multiples of 8, and for pictures stored upright."""
    data = saved(smooth(*size), "JPEG", quality=90, exif=oriented(orientation))
    exact, fast = (load_pixels(data, preprocessing, exact=exact) for exact in (True, False))
    assert difference(exact, fast) < tolerance


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 900), st.integers(1, 900), st.integers(1, 400))
@example(800, 600, 75)
@example(801, 600, 75)
def test_scaled_decoding_keeps_at_least_the_requested_pixels(width, height, at_least):
    data = saved(Image.new("RGB", (width, height)), "JPEG")
    image = decode(data, at_least=at_least)
    assert min(image.size) >= min(at_least, width, height)
    if min(width, height) >= 8 * at_least:
        assert image.size == (-(-width // 8), -(-height // 8))


@pytest.mark.parametrize("exact", [True, False])
def test_the_middle_of_a_very_long_strip_is_used(exact):
    strip = Image.new("RGB", (60_000, 1), RED)
    strip.paste(GREEN, (29_990, 0, 30_010, 1))
    pixels = load_pixels(saved(strip, "PNG"), CLIP, exact=exact)
    assert pixels.shape == (224, 224, 3)
    assert (pixels == GREEN).all()


def test_threads_get_the_same_pixels_as_one_thread():
    files = [saved(smooth(300 + 9 * i, 260), name) for i, name in enumerate(FORMATS * 2)]
    sequential = [load_pixels(data, CLIP) for data in files]
    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(lambda data: load_pixels(data, CLIP), files))
    np.testing.assert_array_equal(parallel, sequential)


# Damaged files and random bytes

SEEDS = [
    *(saved(noise(24, 20), name) for name in FORMATS),
    *(saved(noise(24, 20), name, exif=oriented(6)) for name in ("JPEG", "PNG", "WEBP", "TIFF")),
    saved(noise(24, 20), "TIFF", compression="tiff_lzw"),
    saved(noise(24, 20), "JPEG", progressive=True),
    saved(noise(24, 20).convert("P"), "PNG", transparency=3),
    saved(Image.new("I;16", (9, 7), 999), "PNG"),
    saved(noise(9, 7), "GIF", save_all=True, append_images=[noise(9, 7).rotate(180)]),
]


DECODE_S = 5
"""Far more seconds than any of these small files takes; a hang takes longer."""


def check_pixels_or_reason(data: bytes, exact: bool) -> None:
    """Check that decoding gives pixels or an error with a reason, in less than `DECODE_S`."""
    start = time.monotonic()
    try:
        pixels = load_pixels(data, SQUASH, exact=exact)
    except ImageError as error:
        reason = str(error)
        assert reason
        assert reason.isprintable()
    else:
        assert pixels.shape == (160, 160, 3)
    assert time.monotonic() - start < DECODE_S


@pytest.mark.slow
def test_ten_thousand_mutated_files():
    """Bytes are replaced, removed, repeated, and copied from files of other formats."""
    chance = random.Random(0)
    for number in range(10_000):
        data = bytearray(chance.choice(SEEDS))
        for _ in range(chance.randint(1, 8)):
            start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
            other = chance.choice(SEEDS)
            match chance.randrange(6):
                case 0 | 1:
                    data[start : start + 1] = bytes([chance.randrange(256)])
                case 2:
                    data[start : start + 4] = chance.choice(
                        (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff")
                    )
                case 3:
                    del data[start : min(end, start + 40)]
                case 4:
                    data[start:start] = data[start : min(end, start + 200)]
                case 5:
                    position = chance.randrange(len(other))
                    data[start : start + 30] = other[position : position + 30]
            data = data or bytearray(b"x")
        check_pixels_or_reason(bytes(data), exact=bool(number % 2))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=3),
    st.floats(0.3, 1),
    st.booleans(),
)
def test_a_damaged_file_raises_only_image_errors(seed, anywhere, in_header, kept, exact):
    data = bytearray(seed[: int(len(seed) * kept)])
    for fraction, value in anywhere:
        data[int(fraction * (len(data) - 1))] = value
    for position, value in in_header:
        data[position % len(data)] = value
    check_pixels_or_reason(bytes(data), exact)


STARTS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"RIFF0000WEBP"]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(STARTS), st.binary(max_size=200))
def test_random_bytes_are_rejected(start, rest):
    with pytest.raises(ImageError):
        decode(start + rest)


# Loading by path, URI, bytes, PIL image and array


def test_a_picture_is_the_same_however_it_is_passed(tmp_path):
    image = quadrants()
    path = tmp_path / "a.png"
    image.save(path)
    expected = np.asarray(image)
    for passed in (path, str(path), path.as_uri(), path.read_bytes(), image, expected):
        loaded = load_image(passed)
        assert loaded.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(loaded), expected)


def test_a_file_and_its_pil_image_are_turned_upright(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(saved(quadrants(), "PNG", exif=oriented(6)))
    assert corners(load_image(path)) == [BLUE, RED, WHITE, GREEN]
    with Image.open(path) as opened:
        assert corners(load_image(opened)) == [BLUE, RED, WHITE, GREEN]
        opened.load()
        assert corners(load_image(opened)) == [BLUE, RED, WHITE, GREEN]
        assert corners(load_image(opened.copy())) == [BLUE, RED, WHITE, GREEN]
        upright = ImageOps.exif_transpose(opened)
        assert corners(load_image(upright)) == [BLUE, RED, WHITE, GREEN]


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGBA", (9, 7), (255, 0, 0, 128)),
        Image.new("LA", (9, 7), (0, 128)),
        Image.new("L", (9, 7), 77),
        Image.new("1", (9, 7), 1),
        Image.new("I;16", (9, 7), 300),
        noise(9, 7).convert("P"),
    ],
    ids=lambda image: image.mode,
)
def test_a_pil_image_has_the_pixels_of_its_png_file(image):
    np.testing.assert_array_equal(load_image(image), decode(saved(image, "PNG")))
    np.testing.assert_array_equal(load_pixels(image, CLIP), load_pixels(saved(image, "PNG"), CLIP))


def test_an_array_of_grey_pixels_is_an_image():
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(load_image(pixels), np.stack([pixels] * 3, axis=-1))


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (
            np.zeros((4, 4, 3), np.float32),
            r"is an array of float32 \(4, 4, 3\): give pixels of uint8",
        ),
        (np.zeros((4, 4, 5), np.uint8), r"is an array of uint8 \(4, 4, 5\): give pixels of uint8"),
        (np.zeros(4, np.uint8), r"is an array of uint8 \(4,\): give pixels of uint8"),
        (np.zeros((0, 4, 3), np.uint8), r"is an array without pixels, \(0, 4, 3\)"),
    ],
)
def test_an_array_of_another_shape_or_type_is_rejected(pixels, reason):
    with pytest.raises(ImageError, match=f"^{reason}"):
        load_image(pixels)


def test_an_image_that_cannot_be_loaded_is_rejected(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        load_image(tmp_path / "none.png")
    path = tmp_path / "cut.png"
    path.write_bytes(saved(noise(64, 64), "PNG")[:5000])
    with pytest.raises(ImageError, match=r"^is truncated$"):
        load_image(path)
    with Image.open(path) as lazy, pytest.raises(ImageError, match=r"^is truncated$"):
        load_image(lazy)
