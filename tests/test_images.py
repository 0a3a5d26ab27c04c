"""Images: every format and mode becomes upright RGB; every failure has a name."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

from mm_milvus import images
from mm_milvus.errors import ImageError
from mm_milvus.images import Preprocessing, decode, load_pixels

RED, BLUE = (255, 0, 0), (0, 0, 255)
CLIP = Preprocessing(224, 224, 224, "bicubic", (0, 0, 0), (1, 1, 1))
SQUASH = Preprocessing(160, 160, None, "bilinear", (0, 0, 0), (1, 1, 1))


def saved(image: Image.Image, name: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def pixel(data: bytes, x: int = 0, y: int = 0) -> tuple[int, ...]:
    image = decode(data)
    assert image.mode == "RGB"
    return image.getpixel((x, y))


def near(colour: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return all(abs(a - b) <= 8 for a, b in zip(colour, expected, strict=True))


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format_is_read(name):
    assert near(pixel(saved(Image.new("RGB", (32, 24), RED), name)), RED)


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_gives_its_first_frame(name):
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
    assert near(pixel(saved(first, name, save_all=True, append_images=[second])), RED)


@pytest.mark.parametrize(
    ("orientation", "top_left"), [(1, RED), (2, BLUE), (3, BLUE), (4, RED), (6, RED), (8, BLUE)]
)
def test_exif_orientation_is_applied(orientation, top_left):
    image = Image.new("RGB", (64, 32), RED)
    image.paste(BLUE, (32, 0, 64, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(image, "JPEG", exif=exif, quality=95, subsampling=0)
    upright = decode(data)
    assert upright.size == ((32, 64) if orientation > 4 else (64, 32))
    assert near(upright.getpixel((2, 2)), top_left)


def test_a_broken_exif_block_does_not_reject_the_picture():
    data = saved(Image.new("RGB", (8, 8), RED), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert near(pixel(data), RED)


@pytest.mark.parametrize(
    ("image", "name", "expected"),
    [
        (Image.new("RGBA", (4, 4), (255, 0, 0, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (255, 0, 0, 128)), "PNG", (255, 127, 127)),
        (Image.new("LA", (4, 4), (0, 0)), "PNG", (255, 255, 255)),
        (Image.new("L", (4, 4), 77), "PNG", (77, 77, 77)),
        (Image.new("1", (4, 4), 1), "PNG", (255, 255, 255)),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF", RED),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", RED),
        (Image.new("I;16", (4, 4), 32896), "PNG", (128, 128, 128)),
        (Image.new("I;16", (4, 4), 65535), "TIFF", (255, 255, 255)),
        (Image.new("YCbCr", (8, 8), (76, 85, 255)), "JPEG", RED),
    ],
)
def test_every_mode_becomes_rgb(image, name, expected):
    assert near(pixel(saved(image, name)), expected)


def test_a_transparent_palette_lies_on_white():
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    assert pixel(saved(image, "PNG", transparency=0)) == (255, 255, 255)
    assert pixel(saved(image, "PNG")) == RED


def test_floats_are_stretched_to_their_own_range():
    values = np.array([[0.0, 0.5], [0.25, 1.0]], dtype=np.float32)
    image = decode(saved(Image.fromarray(values), "TIFF"))
    assert [image.getpixel((x, y))[0] for y in (0, 1) for x in (0, 1)] == [0, 128, 64, 255]


def test_a_colour_profile_is_no_obstacle():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = saved(Image.new("RGB", (8, 8), BLUE), "JPEG", icc_profile=profile)
    assert near(pixel(data), BLUE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html></html>", "is not an image: it begins with '<!DOCTYPE html>"),
        (b"hello", "is not an image that can be read"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "is HEIC, which needs a plug-in: pip install pillow-heif"),
        (saved(noise(64, 64), "JPEG")[:1500], "is truncated"),
        (saved(noise(64, 64), "PNG")[:5000], "is truncated"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason(data, reason):
    with pytest.raises(ImageError, match=reason) as error:
        decode(data)
    assert "\n" not in str(error.value)


def test_a_bomb_is_refused_before_it_is_decoded():
    bomb = saved(Image.new("1", (30_000, 30_000)), "PNG")
    assert len(bomb) < 200_000
    with pytest.raises(ImageError, match=r"pixels.* limit of 89,478,485"):
        decode(bomb)


def test_a_file_over_the_limit_of_bytes_is_refused(monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 100)
    with pytest.raises(ImageError, match="over the limit of 100"):
        decode(saved(noise(64, 64), "PNG"))


@pytest.mark.parametrize(
    "size",
    [(1, 1), (1, 60), (224, 224), (333, 517), (517, 333), (640, 480), (1000, 30), (225, 223)],
)
def test_the_exact_path_equals_the_models_own_processors(size):
    image = noise(*size)
    data = saved(image, "PNG")
    settings = {"do_rescale": False, "do_normalize": False}
    clip = CLIPImageProcessorPil(
        size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}, **settings
    )
    siglip = SiglipImageProcessorPil(size={"height": 160, "width": 160}, resample=2, **settings)
    for processor, preprocessing in ((clip, CLIP), (siglip, SQUASH)):
        [theirs] = processor(images=image, return_tensors="np")["pixel_values"]
        ours = load_pixels(data, preprocessing, exact=True)
        assert ours.dtype == np.uint8
        np.testing.assert_array_equal(ours, np.moveaxis(theirs, 0, -1))


def test_scaled_decoding_is_near_the_exact_path():
    smooth = noise(40, 30).resize((1600, 1200), Image.Resampling.BICUBIC)
    data = saved(smooth, "JPEG", quality=90)
    exact, scaled = (load_pixels(data, CLIP, exact=exact) for exact in (True, False))
    assert np.abs(exact.astype(int) - scaled).mean() < 1


def test_an_endless_strip_is_cut_to_its_middle():
    strip = saved(Image.new("RGB", (60_000, 1), RED), "PNG")
    assert load_pixels(strip, CLIP).shape == (224, 224, 3)


SEEDS = [saved(noise(40, 30), name) for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    st.floats(0.3, 1),
)
def test_whatever_the_bytes_are_only_image_errors_come_out(seed, changes, kept):
    data = bytearray(seed[: int(len(seed) * kept)])
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    try:
        pixels = load_pixels(bytes(data), SQUASH)
    except ImageError as error:
        reason = str(error)
        assert reason
        assert "\n" not in reason
    else:
        assert pixels.shape == (160, 160, 3)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data):
    with pytest.raises(ImageError):
        decode(data)
