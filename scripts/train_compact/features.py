"""Features of the frozen part of the image network: computed once, kept on disk."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mm_milvus.encoders.compact.encoder import PREPROCESSING
from mm_milvus.encoders.torch.efficientnet import EfficientNetLite0

from .views import View

BATCH = 64


@dataclass(frozen=True)
class Features:
    """Features of n views.

    Attributes:
        maps: Output of the trunk, float16 (n, 192, 5, 5); None for things without pixels.
        pooled: Features of the published network, float32 (n, 1280).
        things: What each view shows.
        texts: The name and other words for each.
        colours: The clear colour of each, or None.
    """

    maps: np.ndarray | None
    pooled: np.ndarray
    things: list[str]
    texts: list[list[str]]
    colours: list[str | None]


def cached(path: Path, network: EfficientNetLite0, views: Iterable[View]) -> Features:
    """Return the features of the views; read from `path` if they are stored there."""
    listing, maps, pooled = (path.with_suffix(s) for s in (".json", ".maps.npy", ".pooled.npy"))
    if not listing.exists():
        labels: list[tuple[str, list[str], str | None]] = []
        parts = list(_run(network, views, labels))
        np.save(maps, np.concatenate([part[0] for part in parts]))
        np.save(pooled, np.concatenate([part[1] for part in parts]))
        listing.write_text(json.dumps(labels))
    things, texts, colours = map(list, zip(*json.loads(listing.read_text()), strict=True))
    return Features(np.load(maps, mmap_mode="r"), np.load(pooled), things, texts, colours)


def _run(
    network: EfficientNetLite0,
    views: Iterable[View],
    labels: list[tuple[str, list[str], str | None]],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    mean, std = (torch.tensor(v)[:, None, None] for v in (PREPROCESSING.mean, PREPROCESSING.std))
    views = iter(views)
    while batch := list(itertools.islice(views, BATCH)):
        labels += [(view.thing, view.texts, view.colour) for view in batch]
        x = torch.from_numpy(np.stack([view.pixels for view in batch])).permute(0, 3, 1, 2)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            maps = network.trunk((x.float() / 255 - mean) / std)
            pooled = network.tail(maps).float()
        yield maps.half().contiguous().numpy(), pooled.numpy()


def joined(parts: list[Features]) -> Features:
    """Concatenate the parts, with their maps in memory."""
    return Features(
        np.concatenate([part.maps for part in parts if part.maps is not None]),
        np.concatenate([part.pooled for part in parts]),
        [thing for part in parts for thing in part.things],
        [texts for part in parts for texts in part.texts],
        [colour for part in parts for colour in part.colours],
    )
