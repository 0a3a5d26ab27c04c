"""Images: every depth, sign, byte order and kind of transparency has the right brightness."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from image_files import png, tiff
from mm_milvus.errors import ImageError
from mm_milvus.images.decoding import decode
from mm_milvus.images.load import load_image
from mm_milvus.images.options import DecodeOptions


def pixels(data: bytes, options: DecodeOptions | None = None) -> np.ndarray:
    image = decode(data, options=options or DecodeOptions())
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def scaled(samples: np.ndarray, white: float) -> np.ndarray:
    return np.clip(np.round(samples.astype(float) * 255 / white), 0, 255).astype(int)


def random_samples(shape: tuple[int, ...], white: int, seed: int = 0) -> np.ndarray:
    """Return samples from 0 to white; the first is white, the second black."""
    samples = np.random.default_rng(seed).integers(0, white, shape, np.int64, endpoint=True)
    samples.flat[:2] = white, 0
    return samples


# Depth of greys


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    width=st.integers(2, 40),
    height=st.integers(1, 30),
    seed=st.integers(0, 99),
    compressed=st.booleans(),
    kind=st.sampled_from(
        [
            *((bits, order, 1, 1, fill) for bits in (1, 2, 4, 8) for order in "<>"
              for fill in (1, 2)),
            *((bits, order, 0, 1, fill) for bits in (1, 2, 4, 8) for order in "<>"
              for fill in (1, 2)),
            (12, "<", 1, 1, 1),
            (16, "<", 1, 1, 1),
            (16, ">", 1, 1, 1),
            (16, "<", 0, 1, 1),
            (32, "<", 1, 1, 1),
            *((bits, order, 1, 2, 1) for bits in (8, 16, 32) for order in "<>"),
        ]
    ),
)  # fmt: skip
def test_a_grey_tiff_has_the_brightness_of_its_depth(width, height, seed, compressed, kind):
    bits, order, photometric, sample_format, fill_order = kind
    white = 2 ** (bits - (sample_format == 2)) - 1
    samples = random_samples((height, width), white, seed)
    if sample_format == 2:
        samples[-1, -1] = -white
    size = {12: 2}.get(bits, max(bits // 8, 1))
    data = tiff(
        samples.astype(f"{'i' if sample_format == 2 else 'u'}{size}"), bits, order=order,
        photometric=photometric, sample_format=sample_format, fill_order=fill_order,
        compressed=compressed,
    )  # fmt: skip
    expected = scaled(samples, white)
    if photometric == 0:
        expected = 255 - expected
    np.testing.assert_array_equal(pixels(data), np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("white", [1, 255, 65_535])
def test_a_float_tiff_is_scaled_by_the_lowest_usual_white(compressed, order, photometric, white):
    samples = (random_samples((9, 11), 1000) / 1000 * white).astype(np.float32)
    data = tiff(
        samples, 32, order=order, photometric=photometric, sample_format=3, compressed=compressed
    )
    expected = scaled(samples, white)
    if photometric == 0:
        expected = 255 - expected
    np.testing.assert_allclose(pixels(data)[..., 0], expected, atol=1)


def test_12_bits_uncompressed_and_of_odd_width():
    assert pixels(tiff(np.array([[0, 2048, 4095]], np.uint16), 12))[0, :, 1].tolist() == [
        0,
        128,
        255,
    ]


@pytest.mark.parametrize("values", [[-32_768, -1, 0, 16_384, 32_767]])
def test_negative_samples_of_16_bits_are_black(values):
    data = tiff(np.array([values], np.int16), 16, sample_format=2)
    assert pixels(data)[0, :, 0].tolist() == [0, 0, 0, 128, 255]


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0, 2**31, 2**32 - 1], np.uint32, [0, 128, 255]),
        ([0, 2**30], np.uint32, [0, 64]),
        ([-(2**31), 0, 2**30, 2**31 - 1], np.int32, [0, 0, 128, 255]),
        ([0, 32_768, 65_535], np.uint32, [0, 128, 255]),
        ([0, 500_000, 1_000_000], np.uint32, [0, 128, 255]),
        ([-100, 0, 155], np.int32, [0, 100, 255]),
    ],
)
def test_32_bits_are_scaled_by_their_type_where_they_use_its_range(values, dtype, expected):
    samples = np.array([values], dtype)
    data = tiff(samples, 32, sample_format=2 if dtype is np.int32 else 1)
    assert pixels(data)[0, :, 0].tolist() == expected


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_grey_png_has_the_brightness_of_its_depth(bits):
    samples = random_samples((13, 11), 2**bits - 1)
    expected = scaled(samples, 2**bits - 1)
    np.testing.assert_array_equal(pixels(png(samples, bits, 0))[..., 0], expected)


@pytest.mark.parametrize(
    ("maximum", "value", "grey"),
    [(255, 255, 255), (1023, 1023, 255), (65_535, 32_768, 128), (4095, 2048, 128)],
)
def test_a_netpbm_file_has_the_brightness_of_its_maximum(maximum, value, grey):
    size = 1 if maximum < 256 else 2
    data = b"P5 1 1 %d\n" % maximum + value.to_bytes(size)
    assert pixels(data)[0, 0].tolist() == [grey] * 3
    assert pixels(b"P2 1 1 %d\n%d\n" % (maximum, value))[0, 0].tolist() == [grey] * 3


# 12 bits in files of 16


@pytest.mark.parametrize(
    ("white", "expected"),
    [(1023, 1023), (3000, 4095), (4095, 4095), (16_000, 16_383), (65_535, 65_535)],
)
@pytest.mark.parametrize(
    "form",
    [
        "grey png",
        "rgb png",
        "grey tiff",
        "rgb tiff",
        "deflated tiff",
        "big-endian tiff",
        "array",
        "pil",
    ],
)
def test_16_bits_are_stretched_on_request(form, white, expected):
    colours = random_samples((7, 9, 3), white)
    grey = colours[..., 0].astype(np.uint16)
    grey.flat[0] = white
    rgb = colours.astype(np.uint16)
    match form:
        case "grey png":
            samples, data = grey, png(grey, 16, 0)
        case "rgb png":
            samples, data = rgb, png(rgb, 16, 2)
        case "grey tiff":
            samples, data = grey, tiff(grey, 16, order=">")
        case "rgb tiff":
            samples, data = rgb, tiff(rgb, 16, photometric=2)
        case "deflated tiff":
            samples, data = rgb, tiff(rgb, 16, photometric=2, compressed=True)
        case "big-endian tiff":
            samples, data = rgb, tiff(rgb, 16, photometric=2, order=">")
        case "array":
            samples, data = grey, grey
        case "pil":
            samples, data = rgb, Image.open(io.BytesIO(png(rgb, 16, 2)))
    stretched = np.asarray(load_image(data, stretch_16bit=True)).astype(int)
    plain = np.asarray(load_image(data)).astype(int)
    shown = samples[..., None] if samples.ndim == 2 else samples
    np.testing.assert_allclose(
        stretched, np.broadcast_to(scaled(shown, expected), stretched.shape), atol=1
    )
    np.testing.assert_allclose(plain, np.broadcast_to(scaled(shown, 65_535), plain.shape), atol=1)


# Colours and transparency


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["rgb", "cmyk", "alpha", "multiplied alpha"])
def test_a_tiff_in_colours_is_right_and_on_white(order, planar, compressed, bits, kind):
    white = 2**bits - 1
    samples = random_samples((17, 13, 3 if kind == "rgb" else 4), white)
    parts = samples / white
    extra = {"alpha": 2, "multiplied alpha": 1}.get(kind)
    match kind:
        case "rgb":
            expected = parts
        case "cmyk":
            expected = (1 - parts[..., :3]) * (1 - parts[..., 3:])
        case "alpha":
            expected = parts[..., :3] * parts[..., 3:] + 1 - parts[..., 3:]
        case _:
            samples[..., :3] = (samples[..., :3] * parts[..., 3:]).astype(int)
            expected = samples[..., :3] / white + 1 - parts[..., 3:]
    data = tiff(
        samples.astype(f"u{bits // 8}"), bits, order=order, planar=planar, compressed=compressed,
        photometric=5 if kind == "cmyk" else 2, extra=extra,
    )  # fmt: skip
    np.testing.assert_allclose(pixels(data), expected * 255, atol=1.01 if kind == "rgb" else 3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from([1, 2, 4, 8, 16]), st.integers(0, 99), st.integers(0, 3))
def test_the_transparent_grey_of_a_png_is_white_at_every_depth(bits, seed, high_bits):
    samples = random_samples((12, 15), 2**bits - 1, seed)
    key = int(samples[5, 5])
    stored = key + (high_bits << bits if bits in (2, 4) else 0)  # they do not count
    expected = scaled(samples, 2**bits - 1)
    expected[samples == key] = 255
    data = png(samples, bits, 0, transparent=(stored,))
    np.testing.assert_array_equal(pixels(data)[..., 0], expected)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(load_image(image))[..., 1], expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_the_transparent_colour_of_a_png_is_white_and_its_neighbours_are_not(bits):
    key = np.array([10, 20, 30] if bits == 8 else [2570, 5140, 7710])
    samples = key + np.array([[[0, 0, 0], [0, 0, 1], [1, 0, 0], [0, -1, 0]]])
    shown = pixels(png(samples, bits, 2, transparent=tuple(key.tolist())))
    expected = samples >> (bits - 8)
    expected[0, 0] = 255
    np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_alphas_of_a_palette_are_put_on_white(bits):
    samples = random_samples((6, 7), 2**bits - 1)
    colours = np.random.default_rng(1).integers(0, 256, (2**bits, 3))
    alphas = np.random.default_rng(2).integers(0, 256, (2**bits, 1))
    data = png(samples, bits, 3, palette=bytes(colours.ravel().tolist()),
               transparent=bytes(alphas.ravel().tolist()))  # fmt: skip
    expected = (colours * alphas + 255 * (255 - alphas)) / 255
    np.testing.assert_allclose(pixels(data), expected[samples], atol=1)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("colour_type", [4, 6])
def test_the_alpha_channel_of_a_png_is_put_on_white(bits, colour_type):
    samples = random_samples((9, 8, 2 if colour_type == 4 else 4), 2**bits - 1)
    parts = samples / (2**bits - 1)
    expected = (parts[..., :-1] * parts[..., -1:] + 1 - parts[..., -1:]) * 255
    data = png(samples, bits, colour_type)
    np.testing.assert_allclose(pixels(data), np.broadcast_to(expected, (9, 8, 3)), atol=2)


@pytest.mark.parametrize(
    "image", [Image.new("La", (4, 4), (50, 100)), Image.new("RGBa", (4, 4), (50, 50, 50, 100))]
)
def test_multiplied_alpha_of_a_pil_image_is_put_on_white(image):
    np.testing.assert_allclose(np.asarray(load_image(image))[0, 0].astype(int), 205, atol=1)


@pytest.mark.parametrize("name", ["I;16", "L", "RGB", "RGBA", "P"])
def test_a_large_picture_is_converted_as_a_small_one_is(name):
    """Large pictures are converted in strips."""
    samples = random_samples((700, 500), 65_535).astype(np.uint16)
    image = Image.fromarray(samples)
    if name != "I;16":
        noise = np.random.default_rng(3).integers(0, 256, (700, 500, 4), dtype=np.uint8)
        image = Image.fromarray(noise).convert(name)
    if name in ("L", "P"):
        image.info["transparency"] = 7
    whole = np.asarray(load_image(image))
    for top in (0, 255, 650):
        part = image.crop((0, top, 500, top + 50))
        np.testing.assert_array_equal(whole[top : top + 50], np.asarray(load_image(part)))


def test_a_tiff_of_a_depth_that_is_not_read_says_so():
    data = tiff(np.zeros((2, 2), np.uint16), 16, photometric=0, order=">")
    reason = r"^is TIFF of a kind that is not read \(unknown pixel mode\): convert it"
    with pytest.raises(ImageError, match=reason):
        decode(data)
