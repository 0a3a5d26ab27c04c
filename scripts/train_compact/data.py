"""What `compact` learns from: emoji, clothing photos, and the names of the ImageNet classes."""

from __future__ import annotations

import colorsys
import json
import random
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

VENDORS = {"google": "emoji-datasource-google", "twitter": "emoji-datasource-twitter"}
VIEWS = 3
"""Of each picture: as it is, and two that are changed at random."""

CLOTHES = {
    "dress": ["dress", "gown", "evening gown", "sundress", "frock", "summer dress"],
    "hat": ["hat", "cap", "beanie", "headwear", "baseball cap", "bonnet"],
    "longsleeve": ["longsleeve", "sweater", "pullover", "long sleeved top", "jumper", "sweatshirt"],
    "outwear": ["outwear", "coat", "jacket", "hoodie", "outerwear", "parka", "anorak"],
    "pants": ["pants", "trousers", "jeans", "leggings", "slacks", "denim pants"],
    "shirt": ["shirt", "blouse", "button-down shirt", "dress shirt", "collared shirt"],
    "shoes": ["shoes", "sneakers", "boots", "footwear", "trainers", "sandals", "running shoes"],
    "shorts": ["shorts", "short pants", "bermuda shorts", "swim trunks"],
    "skirt": ["skirt", "miniskirt", "kilt", "long skirt"],
    "t-shirt": ["t-shirt", "tee", "tshirt", "short sleeved top", "tee shirt"],
}

HUES = (
    (0.04, "red"),
    (0.11, "orange"),
    (0.19, "yellow"),
    (0.43, "green"),
    (0.53, "turquoise"),
    (0.70, "blue"),
    (0.80, "purple"),
    (0.94, "pink"),
    (1.01, "red"),
)


@dataclass(frozen=True)
class Pair:
    """A picture, and the texts that fit it; pairs of one concept are no negatives of each other."""

    image: Image.Image
    texts: list[str]
    concept: str


def emoji_texts(annotations: Path) -> dict[str, list[str]]:
    """The English CLDR name and keywords of each emoji, by its characters without FE0F."""
    with tarfile.open(annotations) as archive:
        member = archive.extractfile("package/annotations/en/annotations.json")
        assert member is not None
        entries = json.load(member)["annotations"]["annotations"]
    return {
        emoji: [*entry["tts"], *entry.get("default", [])]
        for emoji, entry in entries.items()
        if "tts" in entry
    }


def emoji(package: Path, vendor: str, texts: dict[str, list[str]]) -> Iterator[tuple[str, Pair]]:
    """(category, pair) for the emoji of a vendor's package, on a transparent ground."""
    with tarfile.open(package) as archive:
        files = {member.name: member for member in archive.getmembers()}
        listing = archive.extractfile(files["package/emoji.json"])
        assert listing is not None
        for entry in json.load(listing):
            member = files.get(f"package/img/{vendor}/64/{entry['image']}")
            characters = "".join(chr(int(code, 16)) for code in entry["unified"].split("-"))
            names = texts.get(characters.replace("\ufe0f", ""))
            if member is None or names is None:
                continue
            file = archive.extractfile(member)
            assert file is not None
            image = Image.open(BytesIO(file.read())).convert("RGBA")
            yield entry["category"], Pair(image, names, f"emoji {entry['unified']}")


def clothing(folder: Path) -> Iterator[Pair]:
    """The photos of a folder with a subfolder a class."""
    for path in sorted(folder.glob("*/*.jpg")):
        yield Pair(Image.open(path).convert("RGB"), CLOTHES[path.parent.name], path.parent.name)


def views(pair: Pair, rng: random.Random) -> Iterator[Pair]:
    """The picture as it is served, and changed ones whose texts still fit."""
    changed = _emoji_view if pair.image.mode == "RGBA" else _photo_view
    yield _on_ground(pair, (255, 255, 255)) if pair.image.mode == "RGBA" else coloured(pair)
    for _ in range(VIEWS - 1):
        yield changed(pair, rng)


def _emoji_view(pair: Pair, rng: random.Random) -> Pair:
    """A shrunken or moved emoji on a pale ground."""
    hue, pale = rng.random(), rng.uniform(0, 0.35)
    red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(hue, pale, rng.uniform(0.8, 1)))
    side = round(64 * rng.uniform(1.0, 1.5))
    canvas = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    canvas.paste(pair.image, (rng.randint(0, side - 64), rng.randint(0, side - 64)))
    return _on_ground(Pair(canvas, pair.texts, pair.concept), (red, green, blue))


def _on_ground(pair: Pair, colour: tuple[int, int, int]) -> Pair:
    ground = Image.new("RGBA", pair.image.size, (*colour, 255))
    flat = Image.alpha_composite(ground, pair.image).convert("RGB")
    return Pair(flat, pair.texts, pair.concept)


def _photo_view(pair: Pair, rng: random.Random) -> Pair:
    """A mirrored, cropped and recoloured garment; the texts tell its new colour."""
    width, height = pair.image.size
    keep = rng.uniform(0.8, 1.0)
    left, top = (rng.uniform(0, side * (1 - keep)) for side in (width, height))
    box = tuple(int(v) for v in (left, top, left + width * keep, top + height * keep))
    image = pair.image.resize((256, 256), box=box)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    hsv = np.asarray(image.convert("HSV")).copy()
    hsv[..., 0] += np.uint8(rng.randrange(256))
    strength = rng.choice([1.0, 1.0, 1.6])
    hsv[..., 1] = np.clip(hsv[..., 1] * strength, 0, 255)
    image = Image.fromarray(hsv, "HSV").convert("RGB")
    return coloured(Pair(image, pair.texts, pair.concept))


def coloured(pair: Pair) -> Pair:
    """The pair with its dominant colour before each text, where that is clear."""
    colour = dominant_colour(pair.image)
    if colour is None:
        return pair
    return Pair(pair.image, [f"{colour} {text}" for text in pair.texts], f"{colour} {pair.concept}")


def dominant_colour(image: Image.Image) -> str | None:
    """The colour of most of the middle of a picture, or None when no one colour has half of it.

    Of the central 50 x 50 %, each pixel is black (value under 0.2), white or grey (saturation
    under 0.15), or the hue's name.
    """
    width, height = image.size
    box = (width // 4, height // 4, 3 * width // 4, 3 * height // 4)
    middle = image.resize((32, 32), box=box).convert("HSV")
    hue, saturation, value = np.moveaxis(np.asarray(middle, dtype=np.float32) / 255, -1, 0)
    names = np.full(hue.shape, "red", dtype="<U9")
    for bound, name in reversed(HUES):
        names[hue < bound] = name
    names[(saturation < 0.15) & (value > 0.75)] = "white"
    names[(saturation < 0.15) & (value <= 0.75)] = "grey"
    names[(names == "orange") & (value < 0.55)] = "brown"
    names[value < 0.2] = "black"
    found, counts = np.unique(names, return_counts=True)
    best = int(counts.argmax())
    return str(found[best]) if counts[best] > names.size / 2 else None


def imagenet_names(wheel: Path) -> list[list[str]]:
    """The names of each of the 1,000 classes, from the tables in the wheel of timm."""
    lemmas = wordnet(wheel, "lemma")
    with zipfile.ZipFile(wheel) as archive:
        synsets = archive.read("timm/data/_info/imagenet_synsets.txt").decode().split()
    return [lemmas[synset].split(", ") for synset in synsets]


def wordnet(wheel: Path, table: str) -> dict[str, str]:
    """The lemmas or the definitions of the WordNet synsets of ImageNet-21k."""
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"timm/data/_info/imagenet_synset_to_{table}.txt").decode()
    return dict(line.split("\t") for line in text.splitlines())
