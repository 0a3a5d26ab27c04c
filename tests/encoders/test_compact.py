"""The bundled encoder follows the protocol, and finds what is searched for."""

from __future__ import annotations

import io
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from vectors import are_unit_rows

from mm_milvus.arrays import Vectors
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import load_encoder
from mm_milvus.images.decoding import load_pixels

MAX_BYTES = 25_000_000
SCRIPTS = (
    "red dress", "vestido rojo", "rotes Kleid, größer", "робоча куртка", "κόκκινο φόρεμα",
    "赤いドレス", "红色连衣裙", "빨간 드레스", "فستان أحمر", "שמלה אדומה", "लाल पोशाक", "লাল পোশাক",
    "சிவப்பு உடை", "ఎరుపు దుస్తులు", "ชุดสีแดง", "კაბა", "կարմիր զգեստ", "ቀይ ቀሚስ", "ສີແດງ", "🥻👗",
)  # fmt: skip
CLOTHES = (
    "dress", "hat", "longsleeve", "outwear", "pants",
    "shirt", "shoes", "shorts", "skirt", "t-shirt",
)  # fmt: skip

HUES = {"red": 0, "yellow": 60, "green": 120, "blue": 240}

EMOJI_RECALL = 0.95
CLOTHING_ACCURACY = 0.85
"""Lower bounds; the measured values, in docs/reference/compact.md, are slightly higher."""


@pytest.fixture(scope="module")
def compact() -> Encoder:
    return load_encoder("compact", device="cpu")


@pytest.fixture(scope="module")
def noise(compact: Encoder) -> np.ndarray:
    side = compact.spec.preprocessing.height
    return np.random.default_rng(0).integers(0, 256, (9, side, side, 3), dtype=np.uint8)


def test_the_spec_is_complete(compact: Encoder) -> None:
    assert compact.spec.id == "compact"
    assert len(bytes.fromhex(compact.spec.fingerprint)) == 8
    assert compact.spec.fingerprint == load_encoder("compact").spec.fingerprint


def test_the_bundled_files_are_small() -> None:
    folder = Path(str(files("mm_milvus.encoders.compact")))
    assert sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) < MAX_BYTES


def test_images_become_unit_rows(compact: Encoder, noise: np.ndarray) -> None:
    assert are_unit_rows(compact.encode_images(noise), 9, compact.spec.dim)


def test_texts_become_unit_rows_in_any_script(compact: Encoder) -> None:
    assert are_unit_rows(compact.encode_texts(SCRIPTS), len(SCRIPTS), compact.spec.dim)


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t", "\x00", "\ud7ff\uffff", "👗" * 50, "word " * 5000, "x" * 100_000]
)
def test_an_unusual_text_has_a_vector(compact: Encoder, text: str) -> None:
    assert are_unit_rows(compact.encode_texts([text]), 1, compact.spec.dim)


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.text(max_size=60), max_size=4))
def test_any_text_has_a_vector(compact: Encoder, texts: list[str]) -> None:
    assert are_unit_rows(compact.encode_texts(texts), len(texts), compact.spec.dim)


def test_empty_input_gives_empty_output(compact: Encoder, noise: np.ndarray) -> None:
    assert compact.encode_images(noise[:0]).shape == (0, compact.spec.dim)
    assert compact.encode_texts([]).shape == (0, compact.spec.dim)


@pytest.mark.parametrize("colour", [0, 127, 255])
def test_a_blank_image_has_a_vector(compact: Encoder, colour: int) -> None:
    side = compact.spec.preprocessing.height
    blank = np.full((1, side, side, 3), colour, np.uint8)
    assert are_unit_rows(compact.encode_images(blank), 1, compact.spec.dim)


def test_the_batch_does_not_matter(compact: Encoder, noise: np.ndarray) -> None:
    alone = np.concatenate([compact.encode_images(noise[n : n + 1]) for n in range(len(noise))])
    np.testing.assert_allclose(compact.encode_images(noise), alone, atol=1e-4)
    apart = np.concatenate([compact.encode_texts([text]) for text in SCRIPTS])
    np.testing.assert_allclose(compact.encode_texts(SCRIPTS), apart, atol=1e-4)


def test_the_order_does_not_matter(compact: Encoder, noise: np.ndarray) -> None:
    forward, backward = compact.encode_images(noise), compact.encode_images(noise[::-1])
    np.testing.assert_allclose(backward[::-1], forward, atol=1e-4)
    forward, backward = compact.encode_texts(SCRIPTS), compact.encode_texts(SCRIPTS[::-1])
    np.testing.assert_allclose(backward[::-1], forward, atol=1e-4)


def test_the_same_input_gives_the_same_vectors(compact: Encoder, noise: np.ndarray) -> None:
    assert np.array_equal(compact.encode_images(noise), compact.encode_images(noise))
    assert np.array_equal(compact.encode_texts(SCRIPTS), compact.encode_texts(SCRIPTS))


def test_capitals_do_not_matter(compact: Encoder) -> None:
    texts = ["Red Dress", "SNEAKERS", "eVeNiNg gOwN"]
    lower = [text.lower() for text in texts]
    np.testing.assert_allclose(compact.encode_texts(texts), compact.encode_texts(lower), atol=1e-6)


@pytest.mark.parametrize(
    ("plural", "singular"),
    [("sneakers", "sneaker"), ("cats", "cat"), ("dresses", "dress"), ("pizzas", "pizza")],
)
def test_a_plural_is_nearest_to_its_singular(compact: Encoder, plural: str, singular: str) -> None:
    words = ("sneaker", "boot", "cat", "dog", "dress", "shirt", "pizza", "burger")
    scores = compact.encode_texts(words) @ compact.encode_texts([plural])[0]
    assert words[int(scores.argmax())] == singular


@pytest.mark.parametrize(
    ("misspelt", "correct"),
    [("Helicoptr", "helicopter"), ("yellow jakcet", "yellow jacket"), ("pizzza", "pizza")],
)
def test_a_typo_does_not_matter(compact: Encoder, misspelt: str, correct: str) -> None:
    first, second = compact.encode_texts([misspelt, correct])
    np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.fixture(scope="module")
def names(emoji: Path) -> list[str]:
    """The names of the emoji in the bundled example data."""
    return [row["captions"][0] for row in rows(emoji)]


@pytest.fixture(scope="module")
def drawings(compact: Encoder, emoji: Path) -> Vectors:
    """The vectors of the emoji's pictures, in the order of their names."""
    return encode_files(compact, [emoji / row["file_name"] for row in rows(emoji)])


def test_the_name_of_an_emoji_finds_its_picture(
    compact: Encoder, names: list[str], drawings: Vectors
) -> None:
    scores = compact.encode_texts(names) @ drawings.T
    ranks = (scores > scores.diagonal()[:, None]).sum(axis=1)
    assert np.mean(ranks < 10) > EMOJI_RECALL


@pytest.mark.parametrize(
    "name",
    ["dress", "helicopter", "pizza", "dog", "saxophone", "penguin", "running shoe"],
)
def test_an_emoji_is_among_the_first_for_any_phrasing(
    compact: Encoder, names: list[str], drawings: Vectors, name: str
) -> None:
    for query in (name, name.upper(), f"a photo of a {name}"):
        scores = drawings @ compact.encode_texts([query])[0]
        assert name in [names[n] for n in np.argsort(-scores)[:3]]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("Dogs", "dog"),
        ("high heels", "high-heeled shoe"),
        ("pengiun", "penguin"),
        ("saxophones", "saxophone"),
        ("runing shoe", "running shoe"),
        ("aircraft", "helicopter"),
    ],
)
def test_other_words_find_an_emoji(
    compact: Encoder, names: list[str], drawings: Vectors, query: str, wanted: str
) -> None:
    scores = drawings @ compact.encode_texts([query])[0]
    assert wanted in [names[n] for n in np.argsort(-scores)[:10]]


@pytest.mark.parametrize("thing", ["dress", "t-shirt"])
@pytest.mark.parametrize("colour", HUES)
def test_the_colour_of_the_query_ranks_first_among_four(
    compact: Encoder, emoji: Path, thing: str, colour: str
) -> None:
    picture = Image.open(emoji / "images" / f"{thing}.png").convert("RGBA")
    in_colours = [png(dyed(picture, hue)) for hue in HUES.values()]
    pixels = np.stack([load_pixels(data, compact.spec.preprocessing) for data in in_colours])
    scores = compact.encode_images(pixels) @ compact.encode_texts([f"{colour} {thing}"])[0]
    assert list(HUES)[int(scores.argmax())] == colour


@pytest.fixture(scope="module")
def photos(clothing: Path) -> list[Path]:
    """Photos that the encoder was not trained on."""
    return sorted((clothing / "validation").glob("*/*.jpg"))


@pytest.fixture(scope="module")
def photo_vectors(compact: Encoder, photos: list[Path]) -> Vectors:
    return encode_files(compact, photos)


def test_photos_are_classified_without_training(
    compact: Encoder, photos: list[Path], photo_vectors: Vectors
) -> None:
    prompts = compact.encode_texts([f"a photo of a {name}" for name in CLOTHES])
    predicted = (photo_vectors @ prompts.T).argmax(axis=1)
    hits = [CLOTHES[n] == path.parent.name for n, path in zip(predicted, photos, strict=True)]
    assert np.mean(hits) > CLOTHING_ACCURACY


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("sneakers", "shoes"),
        ("Sneaker", "shoes"),
        ("evening gown", "dress"),
        ("trousers", "pants"),
        ("winter jacket", "outwear"),
        ("a baseball cap", "hat"),
    ],
)
def test_nine_of_the_first_ten_photos_match_the_query(
    compact: Encoder, photos: list[Path], photo_vectors: Vectors, query: str, wanted: str
) -> None:
    scores = photo_vectors @ compact.encode_texts([query])[0]
    best = [photos[n].parent.name for n in np.argsort(-scores)[:10]]
    assert best.count(wanted) >= 9


def rows(emoji: Path) -> list[dict[str, Any]]:
    lines = (emoji / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def dyed(picture: Image.Image, hue: int) -> Image.Image:
    """Return a picture with all of its colours changed to one saturated hue."""
    hsv = np.asarray(picture.convert("RGB").convert("HSV")).copy()
    hsv[..., 0], hsv[..., 1] = round(hue * 255 / 360), 230
    result = Image.fromarray(hsv, "HSV").convert("RGB")
    result.putalpha(picture.getchannel("A"))
    return result


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def encode_files(compact: Encoder, paths: list[Path]) -> Vectors:
    """Return the vectors of image files, as an ingest would make them."""
    preprocessing = compact.spec.preprocessing
    pixels = np.stack([load_pixels(path.read_bytes(), preprocessing) for path in paths])
    size = compact.batch_size
    batches = (pixels[start : start + size] for start in range(0, len(pixels), size))
    return np.concatenate([compact.encode_images(batch) for batch in batches])
