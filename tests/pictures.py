"""Helpers for tests that store the example pictures and search them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from mm_milvus import SearchClient
from mm_milvus.encoders.load import load_encoder
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import open_dataset

PICTURES = ("dress", "helicopter", "pizza", "dog", "saxophone", "penguin")


def caption(folder: Path, name: str, *captions: str, **metadata: object) -> None:
    """Write a sidecar file with captions and metadata."""
    (folder / f"{name}.json").write_text(json.dumps({"captions": captions, **metadata}))


def write_pictures(folder: Path, emoji: Path) -> Path:
    """Make a folder of these pictures, each with the captions NAME and `NAME emoji`; return it."""
    folder.mkdir()
    for name in PICTURES:
        shutil.copy(emoji / "images" / f"{name}.png", folder)
        caption(folder, name, name, f"{name} emoji")
    return folder


def search_items(uri: str, dataset: str, text: str, **options: object) -> list[str]:
    """Return the names of the pictures that a text finds, best first."""
    with SearchClient(uri, dataset) as client:
        return [Path(hit.item_id).stem for hit in client.search(text, **options)]


def counts(uri: str, dataset: str) -> dict[str, int]:
    """Return the number of stored images and captions."""
    with Store(uri) as connection:
        return open_dataset(connection, dataset).counts()


class OtherEncoder:
    """The compact encoder with another fingerprint, as after an update of its weights."""

    def __init__(self) -> None:
        self.compact = load_encoder("compact")
        self.spec = replace(self.compact.spec, id="other", fingerprint="ffff0000ffff0000")
        self.batch_size = 4

    def encode_images(self, pixels):
        return self.compact.encode_images(pixels)

    def encode_texts(self, texts):
        return self.compact.encode_texts(texts)
