"""Emoji of several vendors, with their names and keywords from the Unicode CLDR."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from .downloads import npm, read_json

CLDR = "cldr-annotations-full@48.2.0"
LISTING = "emoji-datasource-google@16.0.0"

BITMAPS = {
    "google": LISTING,
    "twitter": "emoji-datasource-twitter@16.0.0",
}
"""Packages with one file of 64 x 64 pixels per emoji."""

DRAWINGS = {
    "fluent-flat": "@iconify-json/fluent-emoji-flat@1.2.6",
    "fluent": "@iconify-json/fluent-emoji@1.2.7",
    "noto-v1": "@iconify-json/noto-v1@1.2.5",
    "emojione": "@iconify-json/emojione@1.2.3",
    "openmoji": "@iconify-json/openmoji@1.2.29",
}
"""Packages with one SVG per emoji; the icon names are almost the same in all of them."""

TRAINED_ON = ("google", "noto-v1", "fluent", "fluent-flat", "emojione")
HELD_OUT = ("twitter", "openmoji")
"""Vendors that are never trained on; the evaluation uses these."""

DRAWN = 128
"""Pixels per side of a rendered drawing."""


@dataclass(frozen=True)
class Emoji:
    """A vendor's picture of an emoji, on a transparent background.

    Attributes:
        image: RGBA.
        characters: The emoji without variation selectors.
        category: Unicode's category.
        subcategory: Unicode's subcategory.
        texts: Its name, then its keywords.
    """

    image: Image.Image
    characters: str
    category: str
    subcategory: str
    texts: list[str]


def emoji(folder: Path, vendor: str) -> Iterator[Emoji]:
    """Yield the emoji of a vendor without flags and skin tones, in Unicode's order."""
    pictures = _bitmaps(folder, vendor) if vendor in BITMAPS else _drawings(folder, vendor)
    texts = annotations(folder)
    for entry in listing(folder):
        characters = plain(entry["unified"])
        if characters not in texts or entry["category"] in ("Flags", "Component"):
            continue
        if image := pictures.get(characters):
            place = entry["category"], entry["subcategory"]
            yield Emoji(_open(image), characters, *place, texts[characters])


def listing(folder: Path) -> list[dict[str, Any]]:
    """Return the table of all emoji, in Unicode's order."""
    with tarfile.open(npm(folder, LISTING)) as archive:
        return sorted(read_json(archive, "emoji.json"), key=lambda entry: entry["sort_order"])


def annotations(folder: Path, language: str = "en") -> dict[str, list[str]]:
    """Return the name and the keywords of each emoji, in a language of the CLDR."""
    with tarfile.open(npm(folder, CLDR)) as archive:
        table = read_json(archive, f"annotations/{language}/annotations.json")
    return {
        characters.replace("\ufe0f", ""): [*entry["tts"], *entry.get("default", [])]
        for characters, entry in table["annotations"]["annotations"].items()
        if "tts" in entry
    }


def plain(code_points: str) -> str:
    """Convert code points, `1F3F3-FE0F-200D-1F308`, to characters without variation selectors."""
    characters = "".join(chr(int(code, 16)) for code in code_points.split("-"))
    return characters.replace("\ufe0f", "")


def _bitmaps(folder: Path, vendor: str) -> dict[str, bytes]:
    with tarfile.open(npm(folder, BITMAPS[vendor])) as archive:
        table = read_json(archive, "emoji.json")
        prefix = f"img/{vendor}/64"
        files = {
            member.name: archive.extractfile(member)
            for member in archive
            if member.name.startswith(f"package/{prefix}/")
        }
        images = {}
        for entry in table:
            if file := files.get(f"package/{prefix}/{entry['image']}"):
                images[plain(entry["unified"])] = file.read()
    return images


def _drawings(folder: Path, vendor: str) -> dict[str, bytes]:
    names = _icon_names(folder)
    with tarfile.open(npm(folder, DRAWINGS[vendor])) as archive:
        icons = read_json(archive, "icons.json")
    images = {}
    for characters in annotations(folder):
        name = next((n for n in names.get(characters, []) if n in icons["icons"]), None)
        if name is not None:
            images[characters] = _render(icons, icons["icons"][name])
    return images


def _icon_names(folder: Path) -> dict[str, list[str]]:
    """Return the icon names of each emoji, from the two packages that list them."""
    names: dict[str, list[str]] = {}
    for vendor in ("fluent-flat", "openmoji"):
        with tarfile.open(npm(folder, DRAWINGS[vendor])) as archive:
            for code_points, name in read_json(archive, "chars.json").items():
                names.setdefault(plain(code_points), []).append(name)
    return names


def _render(icons: dict[str, Any], icon: dict[str, Any]) -> bytes:
    import resvg_py

    width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
    left, top = icon.get("left", 0), icon.get("top", 0)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}" width="{DRAWN}" height="{DRAWN}">'
        f"{icon['body']}</svg>"
    )
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True))


def _open(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data)).convert("RGBA")
