"""Features of the frozen image network, computed once and kept on disk."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mm_milvus.encoders.compact.efficientnet import EfficientNetLite0
from mm_milvus.encoders.compact.encoder import PREPROCESSING
from mm_milvus.images import load_pixels

from .data import VIEWS, Pair, views

BATCH = 64


@dataclass(frozen=True)
class Features:
    """vectors: float32 (n, 1280); texts and concepts: n of each."""

    vectors: np.ndarray
    texts: list[list[str]]
    concepts: list[str]


def cached(path: Path, network: EfficientNetLite0, pairs: Iterable[Pair], seed: int) -> Features:
    """The features of all views of the pairs; read from `path` when they are there already."""
    listing = path.with_suffix(".json")
    if not listing.exists():
        rng = random.Random(seed)
        seen = [view for pair in pairs for view in views(pair, rng)]
        np.save(path, np.concatenate(list(_run(network, seen))))
        listing.write_text(json.dumps([[v.texts, v.concept] for v in seen]))
    entries = json.loads(listing.read_text())
    return Features(np.load(path), [e[0] for e in entries], [e[1] for e in entries])


def _run(network: EfficientNetLite0, pairs: list[Pair]) -> Iterator[np.ndarray]:
    mean, std = (torch.tensor(v)[:, None, None] for v in (PREPROCESSING.mean, PREPROCESSING.std))
    for start in range(0, len(pairs), BATCH):
        pixels = np.stack([_pixels(pair.image) for pair in pairs[start : start + BATCH]])
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            yield network((x - mean) / std).numpy()


def _pixels(image: Image.Image) -> np.ndarray:
    """As the package itself loads a picture."""
    file = BytesIO()
    image.save(file, "PNG", compress_level=0)
    return load_pixels(file.getvalue(), PREPROCESSING)


def without_flags(emoji: Features) -> Features:
    """The emoji but for the flags, each in its first view alone."""
    first = range(0, len(emoji.texts), VIEWS)
    kept = [n for n in first if not emoji.texts[n][0].startswith("flag")]
    texts, concepts = ([values[n] for n in kept] for values in (emoji.texts, emoji.concepts))
    return Features(emoji.vectors[kept], texts, concepts)
