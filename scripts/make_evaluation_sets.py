"""Make data sets with judged queries: emoji in a language, and photographed clothes.

    python -m scripts.make_evaluation_sets emoji --language de --output DIR [--downloads DIR]
    python -m scripts.make_evaluation_sets clothing --photos DIR --output DIR

DIR/items is what `mm-milvus ingest` takes, DIR/queries.jsonl and DIR/qrels.txt are what
`mm-milvus evaluate` takes. Packages come from npm, unless their archives are in the downloads
already; the result is the same for the same versions.
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
"""The subfolder that is ingested."""

VENDOR = HELD_OUT[0]
"""Whose drawings compact was never trained on."""


def make_emoji(output: Path, downloads: Path, language: str, vendor: str) -> None:
    """Captions are names; each keyword asks for all emoji that have it."""
    texts = annotations(downloads, language)
    rows = []
    relevant: dict[str, list[str]] = defaultdict(list)
    for each in emoji(downloads, vendor):
        if each.characters not in texts:
            continue
        name, *keywords = texts[each.characters]
        file = f"images/{'-'.join(f'{ord(character):x}' for character in each.characters)}.png"
        write_picture(output / ITEMS / file, each.image)
        rows.append({"file_name": file, "captions": [name], "category": each.category})
        for keyword in dict.fromkeys(keywords):
            relevant[keyword].append(file)
    write_set(output, rows, relevant)


def make_clothing(output: Path, photos: Path) -> None:
    """Captions are `a photo of a {class}`; each colour and class asks for its clear cases."""
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
    """A picture of the data set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "PNG")


def write_set(
    output: Path, rows: Sequence[Mapping[str, Any]], relevant: Mapping[str, Sequence[str]]
) -> None:
    """The table of the items, the queries, and the items that are relevant to each."""
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
    """A JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main() -> None:
    """Read the command line, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    of_emoji = kinds.add_parser("emoji")
    of_emoji.add_argument("--language", default="en")
    of_emoji.add_argument("--vendor", default=VENDOR)
    of_emoji.add_argument("--downloads", type=Path, default=Path())
    of_clothing = kinds.add_parser("clothing")
    of_clothing.add_argument("--photos", type=Path, required=True)
    for each in (of_emoji, of_clothing):
        each.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    if options.kind == "emoji":
        make_emoji(options.output, options.downloads, options.language, options.vendor)
    else:
        make_clothing(options.output, options.photos)


if __name__ == "__main__":
    main()
