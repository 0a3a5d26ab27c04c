"""Pictures with their texts, unchanged and augmented at random so that the texts still apply."""

from __future__ import annotations

import colorsys
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from mm_milvus.encoders.compact.encoder import PREPROCESSING
from mm_milvus.images.decoding import decode, load_pixels

from .colours import dominant_colour
from .emoji import Emoji

EMOJI_VIEWS = 3
PHOTO_VIEWS = 5

CLOTHES = {
    "dress": ["dress", "gown", "evening gown", "sundress", "frock", "summer dress"],
    "hat": ["hat", "cap", "beanie", "headwear", "baseball cap", "bonnet"],
    "longsleeve": [
        "longsleeve", "sweater", "pullover", "long sleeved top", "jumper", "sweatshirt",
        "long sleeve shirt",
    ],
    "outwear": ["outwear", "coat", "jacket", "hoodie", "outerwear", "parka", "anorak", "blazer"],
    "pants": ["pants", "trousers", "jeans", "leggings", "slacks", "denim pants", "joggers"],
    "shirt": ["shirt", "blouse", "button-down shirt", "dress shirt", "collared shirt"],
    "shoes": [
        "shoes", "sneakers", "boots", "footwear", "trainers", "sandals", "running shoes",
        "high heels",
    ],
    "shorts": ["shorts", "short pants", "bermuda shorts", "swim trunks"],
    "skirt": ["skirt", "miniskirt", "kilt", "long skirt"],
    "t-shirt": ["t-shirt", "tee", "tshirt", "short sleeved top", "tee shirt", "t shirt"],
}  # fmt: skip
"""The classes of the clothing photos: the name of each, then other words for it."""

MIRRORED = ("Animals & Nature", "Food & Drink", "Travel & Places", "Activities")
"""Categories of emoji that may be mirrored."""


@dataclass(frozen=True)
class View:
    """One picture at the encoder's input size, with its texts.

    Attributes:
        pixels: uint8 (height, width, 3).
        thing: What the picture shows; two views of one thing are not negatives of each other.
        texts: The name of the thing, then other words for it.
        colour: The clear colour of the thing, or None.
    """

    pixels: np.ndarray
    thing: str
    texts: list[str]
    colour: str | None


def emoji_views(emoji: Iterable[Emoji], rng: random.Random, count: int) -> Iterator[View]:
    """Yield each emoji on white, and `count` - 1 times moved, rotated and recoloured."""
    for entry in emoji:
        yield _emoji_view(entry, entry.image, _on_ground(entry.image, (255, 255, 255)))
        for _ in range(count - 1):
            image = entry.image
            if entry.subcategory == "clothing":
                image = _hue_shifted(image, rng)
            yield _emoji_view(entry, image, _placed(image, entry.category in MIRRORED, rng))


def photo_views(folder: Path, rng: random.Random, count: int) -> Iterator[View]:
    """Yield each photo of a folder with one subfolder per class, and `count` - 1 variants of it.

    A variant is cropped, mirrored and rotated; every other one is recoloured, the rest relit.
    """
    for path in sorted(folder.glob("*/*.jpg")):
        data, name = path.read_bytes(), path.parent.name
        photo = decode(data, at_least=2 * PREPROCESSING.height)
        served_pixels = load_pixels(data, PREPROCESSING)
        yield View(served_pixels, name, CLOTHES[name], dominant_colour(photo))
        for number in range(count - 1):
            image = _cropped(photo, rng)
            image = _hue_shifted(image, rng) if number % 2 else _relit(image, rng)
            yield View(_pixels(image), name, CLOTHES[name], dominant_colour(image))


def _emoji_view(emoji: Emoji, image: Image.Image, placed: Image.Image) -> View:
    return View(_pixels(placed), emoji.characters, emoji.texts, dominant_colour(image))


def _pixels(image: Image.Image) -> np.ndarray:
    size = PREPROCESSING.width, PREPROCESSING.height
    return np.asarray(image.resize(size, Image.Resampling[PREPROCESSING.resample.upper()]))


def _placed(image: Image.Image, mirror: bool, rng: random.Random) -> Image.Image:
    size = rng.randint(48, 112)
    image = image.resize((size, size), Image.Resampling.BICUBIC)
    if mirror and rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = image.rotate(rng.uniform(-12, 12), Image.Resampling.BICUBIC)
    side = round(size * rng.uniform(1.0, 1.4))
    canvas = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    canvas.paste(image, (rng.randint(0, side - size), rng.randint(0, side - size)))
    return _relit(_on_ground(canvas, _ground(rng)), rng)


def _ground(rng: random.Random) -> tuple[int, int, int]:
    """Draw a background: white in four of ten cases, pale in four, any colour in two."""
    kind = rng.random()
    if kind < 0.4:
        return 255, 255, 255
    strength, light = (rng.uniform(0, 0.3), rng.uniform(0.8, 1)) if kind < 0.8 else (
        rng.uniform(0, 0.8), rng.uniform(0, 1)
    )  # fmt: skip
    red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(rng.random(), strength, light))
    return red, green, blue


def _on_ground(image: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    ground = Image.new("RGBA", image.size, (*colour, 255))
    return Image.alpha_composite(ground, image).convert("RGB")


def _cropped(photo: Image.Image, rng: random.Random) -> Image.Image:
    width, height = photo.size
    keep_x, keep_y = rng.uniform(0.75, 1.0), rng.uniform(0.75, 1.0)
    left, top = rng.uniform(0, width * (1 - keep_x)), rng.uniform(0, height * (1 - keep_y))
    box = (left, top, left + width * keep_x, top + height * keep_y)
    image = photo.resize((256, 256), Image.Resampling.BICUBIC, box=box)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.5:
        fill = image.resize((1, 1)).getpixel((0, 0))
        image = image.rotate(rng.uniform(-20, 20), Image.Resampling.BICUBIC, fillcolor=fill)
    return image


def _relit(image: Image.Image, rng: random.Random) -> Image.Image:
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = change(image).enhance(rng.uniform(0.75, 1.25))
    return image


def _hue_shifted(image: Image.Image, rng: random.Random) -> Image.Image:
    """Shift every hue by one random angle; in one of three cases with more saturation."""
    hsv = np.asarray(image.convert("RGB").convert("HSV")).copy()
    hsv[..., 0] += np.uint8(rng.randrange(256))
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.choice([1.0, 1.0, 1.6]), 0, 255)
    turned = Image.fromarray(hsv, "HSV").convert("RGB")
    if image.mode == "RGBA":
        turned.putalpha(image.getchannel("A"))
    return turned
