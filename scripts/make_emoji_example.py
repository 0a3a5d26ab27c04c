"""Make examples/emoji: some 600 Noto emoji with their CLDR names and keywords.

    python scripts/make_emoji_example.py [--downloads DIR]

Needs npm, which fetches emoji-datasource-google and cldr-annotations-full; archives that are in
DIR already are used as they are. The result is the same for the same versions of the two.
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

EVERY = {
    "Activities": 1,
    "Animals & Nature": 1,
    "Food & Drink": 1,
    "Objects": 3,
    "People & Body": 8,
    "Smileys & Emotion": 2,
    "Symbols": 8,
    "Travel & Places": 4,
}
"""Of each category, every n-th emoji: those of things are told apart more easily than faces."""

KEPT_WHOLE = "clothing"
"""The subcategory whose emoji are all taken."""


def main() -> None:
    """Fetch, choose, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--downloads", type=Path)
    with tempfile.TemporaryDirectory() as temporary:
        downloads = parser.parse_args().downloads or Path(temporary)
        emoji, cldr = (archive(downloads, package) for package in PACKAGES)
        make(emoji, cldr)


def archive(folder: Path, package: str) -> Path:
    """The npm archive of `name@version`, fetched unless it is there."""
    path = folder / f"{package.replace('@', '-')}.tgz"
    if not path.exists():
        subprocess.run(["npm", "pack", package], cwd=folder, check=True, capture_output=True)
    return path


def make(emoji: Path, cldr: Path) -> None:
    """Write the pictures, their table and their licences."""
    shutil.rmtree(TARGET / "images", ignore_errors=True)
    (TARGET / "images").mkdir(parents=True)
    with tarfile.open(cldr) as archive:
        annotations = read_json(archive, "package/annotations/en/annotations.json")
        words = annotations["annotations"]["annotations"]
    with (
        tarfile.open(emoji) as archive,
        (TARGET / "metadata.jsonl").open("w", encoding="utf-8") as table,
    ):
        for entry in chosen(read_json(archive, "package/emoji.json")):
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


def chosen(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The emoji of the example, in their own order."""
    entries = [e for e in entries if e["has_img_google"] and e["category"] in EVERY]
    entries.sort(key=lambda entry: entry["sort_order"])
    counts = dict.fromkeys(EVERY, 0)
    kept = []
    for entry in entries:
        counts[entry["category"]] += 1
        is_nth = counts[entry["category"]] % EVERY[entry["category"]] == 0
        if is_nth or entry["subcategory"] == KEPT_WHOLE:
            kept.append(entry)
    return kept


def slug(name: str) -> str:
    """`red apple` to `red-apple`: plain letters, whatever the name has."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def read(archive: tarfile.TarFile, name: str) -> bytes:
    """A file of the archive."""
    member = archive.extractfile(name)
    if member is None:
        raise FileNotFoundError(name)
    return member.read()


def read_json(archive: tarfile.TarFile, name: str) -> Any:
    """A JSON file of the archive."""
    return json.loads(read(archive, name))


if __name__ == "__main__":
    main()
