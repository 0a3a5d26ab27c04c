"""Make examples/emoji: 700 Noto emoji with their CLDR names and keywords.

    python scripts/make_emoji_example.py [--downloads DIR]

Needs npm, which fetches emoji-datasource-google and cldr-annotations-full; archives that
already are in DIR are used. The result is the same for the same versions of the two packages.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

PACKAGES = ("emoji-datasource-google@16.0.0", "cldr-annotations-full@48.2.0")
TARGET = Path(__file__).parents[1] / "examples" / "emoji"

STRIDES = {
    "Activities": 1,
    "Animals & Nature": 1,
    "Food & Drink": 1,
    "Objects": 3,
    "People & Body": 8,
    "Smileys & Emotion": 2,
    "Symbols": 8,
    "Travel & Places": 4,
}
"""For each category n: every n-th emoji is taken. Things are easier to distinguish than faces."""

COMPLETE_SUBCATEGORY = "clothing"
"""The subcategory of which every emoji is taken."""


def main() -> None:
    """Fetch the packages, select the emoji, and write the example."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--downloads", type=Path)
    with tempfile.TemporaryDirectory() as temporary:
        downloads = parser.parse_args().downloads or Path(temporary)
        emoji, cldr = (archive(downloads, package) for package in PACKAGES)
        make(emoji, cldr)


def archive(folder: Path, package: str) -> Path:
    """Return the npm archive of `name@version`; fetch it if it is not in the folder."""
    path = folder / f"{package.replace('@', '-')}.tgz"
    if not path.exists():
        subprocess.run(["npm", "pack", package], cwd=folder, check=True, capture_output=True)
    return path


def make(emoji: Path, cldr: Path) -> None:
    """Write the pictures and their table."""
    shutil.rmtree(TARGET / "images", ignore_errors=True)
    (TARGET / "images").mkdir(parents=True)
    with tarfile.open(cldr) as archive:
        annotations = read_json(archive, "package/annotations/en/annotations.json")
        words = annotations["annotations"]["annotations"]
    with (
        tarfile.open(emoji) as archive,
        (TARGET / "metadata.jsonl").open("w", encoding="utf-8") as table,
    ):
        for entry in selected(read_json(archive, "package/emoji.json")):
            characters = "".join(chr(int(code, 16)) for code in entry["unified"].split("-"))
            texts = words.get(characters.replace("\ufe0f", ""))
            if texts is None:
                continue
            [name] = texts["tts"]
            file_name = f"images/{slug(name)}.png"
            (TARGET / file_name).write_bytes(
                read(archive, f"package/img/google/64/{entry['image']}")
            )
            row = {
                "file_name": file_name,
                "captions": [name, ", ".join(texts["default"])],
                "emoji": characters,
                "category": entry["category"],
                "subcategory": entry["subcategory"],
            }
            table.write(json.dumps(row, ensure_ascii=False) + "\n")


def selected(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the emoji of the example, in Unicode's order."""
    entries = [e for e in entries if e["has_img_google"] and e["category"] in STRIDES]
    entries.sort(key=lambda entry: entry["sort_order"])
    counts = dict.fromkeys(STRIDES, 0)
    kept = []
    for entry in entries:
        counts[entry["category"]] += 1
        is_nth = counts[entry["category"]] % STRIDES[entry["category"]] == 0
        if is_nth or entry["subcategory"] == COMPLETE_SUBCATEGORY:
            kept.append(entry)
    return kept


def slug(name: str) -> str:
    """Convert a name to lower-case ASCII letters, digits and dashes: `red-apple`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def read(archive: tarfile.TarFile, name: str) -> bytes:
    """Read a file of the archive."""
    member = archive.extractfile(name)
    if member is None:
        raise FileNotFoundError(name)
    return member.read()


def read_json(archive: tarfile.TarFile, name: str) -> Any:
    """Read a JSON file of the archive."""
    return json.loads(read(archive, name))


if __name__ == "__main__":
    main()
