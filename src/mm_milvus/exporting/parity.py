"""How close the vectors of an exported encoder are to its original's."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mm_milvus.arrays import Pixels, Vectors
from mm_milvus.bundled import example_pictures
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.exported.encoder import ExportedEncoder
from mm_milvus.encoders.torch.fingerprint import PROBE_TEXTS
from mm_milvus.errors import CutTextWarning
from mm_milvus.images.decoding import load_pixels
from mm_milvus.images.preprocessing import Preprocessing

BATCH_SIZES = (1, 7)
PICTURES = 10
CAPTIONS = 50
"""Number of captions of the example that are compared, in addition to `PROBE_TEXTS`. Int8 affects
texts unevenly: the worst text is often not among a dozen."""


class Parity(NamedTuple):
    """The lowest cosines between an exported encoder and its original.

    Attributes:
        image: Over images.
        text: Over texts.
    """

    image: float
    text: float


def measure_parity(original: Encoder, folder: Path) -> Parity:
    """Compare an exported encoder with its original, on bundled images and on texts.

    The exported encoder gets them one by one, and in batches of seven: a traced graph may have
    fixed a size, and int8 activations are scaled per batch.

    Args:
        original: The encoder that was exported.
        folder: The exported folder.
    """
    pixels = _example_pixels(original.spec.preprocessing)
    texts = [*PROBE_TEXTS, *_example_captions()]
    copies = [ExportedEncoder(folder.name, folder, batch_size=size) for size in BATCH_SIZES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CutTextWarning)  # one of the texts is to be cut
        images, sentences = original.encode_images(pixels), original.encode_texts(texts)
        return Parity(
            image=min(_lowest_cosine(images, copy.encode_images(pixels)) for copy in copies),
            text=min(_lowest_cosine(sentences, copy.encode_texts(texts)) for copy in copies),
        )


def _lowest_cosine(left: Vectors, right: Vectors) -> float:
    """Return the lowest inner product of two arrays' rows; -1 where a vector is not finite."""
    return float(np.nan_to_num((left * right).sum(axis=1), nan=-1.0).min())


def _example_pixels(preprocessing: Preprocessing) -> Pixels:
    """Return images of the example, spread over its folder."""
    files = sorted((example_pictures() / "images").glob("*.png"))
    spread = files[:: len(files) // PICTURES][:PICTURES]
    return np.stack([load_pixels(file.read_bytes(), preprocessing) for file in spread])


def _example_captions() -> list[str]:
    """Return captions of the example: names, and lists of words."""
    lines = (example_pictures() / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    pairs = [json.loads(line)["captions"] for line in lines[:: 2 * len(lines) // CAPTIONS]]
    return [caption for pair in pairs for caption in pair]
