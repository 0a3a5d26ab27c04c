"""Make datasets with judged queries: emoji with names in a language, and photos of clothes.

    python -m scripts.make_evaluation_sets emoji --language de --output DIR [--downloads DIR]
    python -m scripts.make_evaluation_sets clothing --photos DIR --output DIR

`mm-milvus ingest` reads DIR/items; `mm-milvus evaluate` reads DIR/queries.jsonl and DIR/qrels.txt.
Packages are fetched with npm unless their archives are in the folder of the downloads; the result
is the same for the same versions.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from .train_compact.colours import dominant_colour
from .train_compact.emoji import HELD_OUT, annotations, emoji

ITEMS = "items"
"""Name of the subfolder to ingest."""

VENDOR = HELD_OUT[0]
"""The vendor of the drawings; compact was never trained on these."""


def make_emoji(output: Path, downloads: Path, language: str, vendor: str) -> None:
    """Make the emoji dataset: captions are names, and each keyword is a query for its emoji."""
    texts = annotations(downloads, language)
    rows = []
    relevant: dict[str, list[str]] = defaultdict(list)
    for entry in emoji(downloads, vendor):
        if entry.characters not in texts:
            continue
        name, *keywords = texts[entry.characters]
        file = f"images/{'-'.join(f'{ord(character):x}' for character in entry.characters)}.png"
        write_picture(output / ITEMS / file, entry.image)
        rows.append({"file_name": file, "captions": [name], "category": entry.category})
        for keyword in dict.fromkeys(keywords):
            relevant[keyword].append(file)
    write_set(output, rows, relevant)


def make_clothing(output: Path, photos: Path) -> None:
    """Make the clothing dataset: captions are `a photo of a {class}`; colour and class are queries.

    The answers to "red dress" are the photos of that class whose dominant colour is red.
    """
    rows = []
    relevant: dict[str, list[str]] = defaultdict(list)
    for photo in sorted(photos.glob("*/*.jpg")):
        name = photo.parent.name
        file = f"images/{name}/{photo.name}"
        copy = output / ITEMS / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, copy)
        rows.append({"file_name": file, "captions": [f"a photo of a {name}"], "class": name})
        with Image.open(photo) as image:
            colour = dominant_colour(image.convert("RGB"))
        if colour is not None:
            relevant[f"{colour} {name}"].append(file)
    write_set(output, rows, relevant)


def write_picture(path: Path, image: Image.Image) -> None:
    """Write a picture of the dataset as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "PNG")


def write_set(
    output: Path, rows: Sequence[Mapping[str, Any]], relevant: Mapping[str, Sequence[str]]
) -> None:
    """Write the table of items, the queries, and the relevant items of each query."""
    queries = [
        {"query_id": f"q{number:05d}", "text": text} for number, text in enumerate(sorted(relevant))
    ]
    write_lines(output / ITEMS / "metadata.jsonl", rows)
    write_lines(output / "queries.jsonl", queries)
    with (output / "qrels.txt").open("w", encoding="utf-8") as qrels:
        for query in queries:
            for file in relevant[query["text"]]:
                qrels.write(f"{query['query_id']} 0 {file} 1\n")
    print(f"{output}: {len(rows):,} items, {len(queries):,} queries")


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one JSON object per line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main() -> None:
    """Read the command line and write the dataset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    emoji_parser = kinds.add_parser("emoji")
    emoji_parser.add_argument("--language", default="en")
    emoji_parser.add_argument("--vendor", default=VENDOR)
    emoji_parser.add_argument("--downloads", type=Path, default=Path())
    clothing_parser = kinds.add_parser("clothing")
    clothing_parser.add_argument("--photos", type=Path, required=True)
    for subparser in (emoji_parser, clothing_parser):
        subparser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    if options.kind == "emoji":
        make_emoji(options.output, options.downloads, options.language, options.vendor)
    else:
        make_clothing(options.output, options.photos)


if __name__ == "__main__":
    main()
