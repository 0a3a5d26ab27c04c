"""How near an exported encoder comes to its original."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mm_milvus.arrays import Pixels, Vectors
from mm_milvus.bundled import example_pictures
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.exported.encoder import ExportedEncoder
from mm_milvus.encoders.fingerprint import PROBE_TEXTS
from mm_milvus.images.decode import load_pixels
from mm_milvus.images.preprocessing import Preprocessing

BATCH_SIZES = (1, 7)
PICTURES = 10
CAPTIONS = 50
"""So many of the example, besides the texts of many scripts that tell tokenizers apart. Int8
strikes texts unevenly: of a dozen, the worst is often not among them."""


class Parity(NamedTuple):
    """The least cosine to the original, of pictures and of texts."""

    image: float
    text: float


def measure(original: Encoder, folder: Path) -> Parity:
    """Compare the encoder in `folder` with its original, on bundled pictures and on texts.

    The exported one encodes them one at a time and in batches of seven: graphs that were traced
    may hold on to a size, and int8 activations are scaled over a batch.
    """
    pixels = _pictures(original.spec.preprocessing)
    texts = [*PROBE_TEXTS, *_captions()]
    images, sentences = original.encode_images(pixels), original.encode_texts(texts)
    exported = [
        ExportedEncoder(folder.name, folder, batch_size=batch_size) for batch_size in BATCH_SIZES
    ]
    return Parity(
        image=min(_least(images, each.encode_images(pixels)) for each in exported),
        text=min(_least(sentences, each.encode_texts(texts)) for each in exported),
    )


def _least(ours: Vectors, theirs: Vectors) -> float:
    """The least inner product of unit rows; vectors that are no numbers have none."""
    return float(np.nan_to_num((ours * theirs).sum(axis=1), nan=-1.0).min())


def _pictures(preprocessing: Preprocessing) -> Pixels:
    """Pictures of the example spread over its folder."""
    files = sorted((example_pictures() / "images").glob("*.png"))
    return np.stack(list(_loaded(files[:: len(files) // PICTURES][:PICTURES], preprocessing)))


def _captions() -> list[str]:
    """Captions of the example: names, and lists of words."""
    lines = (example_pictures() / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    pairs = [json.loads(line)["captions"] for line in lines[:: 2 * len(lines) // CAPTIONS]]
    return [caption for pair in pairs for caption in pair]


def _loaded(files: list[Path], preprocessing: Preprocessing) -> Iterator[Pixels]:
    for file in files:
        yield load_pixels(file.read_bytes(), preprocessing)
