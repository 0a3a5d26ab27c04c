"""The two ways to train: a projection over frozen towers, or a whole CLIP model."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from mm_milvus.encoders.snapshot import MODEL_FILES, find_model
from mm_milvus.encoders.trained.dual import Projection, ProjectionShape, save_dual
from mm_milvus.encoders.trained.pair import Pair, clip_pair, separate_pair
from mm_milvus.encoders.transformers.clip import load_towers
from mm_milvus.encoders.transformers.pretrained import loading
from mm_milvus.keys import content_hash
from mm_milvus.sources.base import Source
from mm_milvus.training.features import FrozenTowers, TrainingData, gather, keep_texts
from mm_milvus.training.model import ProjectionModel, TowersModel, Trainable
from mm_milvus.training.options import TrainOptions
from mm_milvus.training.pairs import Pairs
from mm_milvus.training.rows import RowCache, Rows
from mm_milvus.training.views import view_key

SCALE_ROWS = 4096
"""So many features tell how a tower's features lie."""


class Recipe(Protocol):
    """From sources to a model, and from the model to a folder."""

    @property
    def towers(self) -> dict[str, str]:
        """What the model is made of, for its card."""

    def gather(self, source: Source, views: int, *, progress: bool) -> TrainingData:
        """Read a source, and keep of its images and texts what the model is to be shown."""

    def model(self, training: Pairs) -> Trainable:
        """The model as it is before the first step."""

    def save(self, folder: Path, temperature: float) -> None:
        """Write the model, trained to this temperature, into a folder that is there and empty."""


class FrozenRecipe:
    """A projection over the features of frozen towers, which are had once and kept."""

    def __init__(self, options: TrainOptions, device: torch.device, folder: Path) -> None:
        """Load the towers; their features are kept in the folder."""
        self._options = options
        self._device = device
        self._pair = _pair(options, device)
        self._run = FrozenTowers(self._pair, device)
        mark = self._pair.fingerprint
        self._images = RowCache(folder / f"images-{mark}")
        self._texts = RowCache(folder / f"texts-{mark}")

    @property
    def towers(self) -> dict[str, str]:
        """What the model is made of, for its card."""
        options = self._options
        if options.clip is not None:
            return {"both towers, frozen": options.clip}
        return {
            "text tower, frozen": f"{options.text_model}, {self._pair.settings['pooling']} pooling",
            "image tower, frozen": f"{options.image_model}, {options.features} features",
        }

    def gather(self, source: Source, views: int, *, progress: bool) -> TrainingData:
        """Read a source, and keep the features of its images and texts."""
        gathered = gather(
            source,
            self._options,
            views,
            self._pair.preprocessing,
            self._images,
            self._run.images,
            progress=progress,
        )
        # The empty text stands where a document has none.
        keep_texts([*gathered.pairs.texts, ""], self._texts, self._run.texts)
        return gathered

    def model(self, training: Pairs) -> Trainable:
        """A random projection, scaled to the features of the training data."""
        options = self._options
        torch.manual_seed(options.seed)
        hidden = options.hidden or None
        shape = ProjectionShape(self._images.width, self._texts.width, options.dim, hidden)
        self._projection = Projection(shape, options.dropout)
        images = [view_key(image, 0) for image in training.images]
        numbers = sorted(set(chain.from_iterable(training.captions)))
        texts = [content_hash(training.texts[number]) for number in numbers]
        for side, cache, keys in (
            (self._projection.image, self._images, images),
            (self._projection.text, self._texts, texts),
        ):
            rows = cache.take(_sample(keys, options.seed)).astype(np.float32)
            side.fit_scale(torch.from_numpy(rows))
        return ProjectionModel(self._projection, self._images, self._texts, self._device)

    def save(self, folder: Path, temperature: float) -> None:
        """Write the towers and the projection."""
        save_dual(folder, self._pair, self._projection.cpu(), temperature)


class FullRecipe:
    """All the weights of a CLIP model; its images are kept as pixels."""

    def __init__(self, options: TrainOptions, device: torch.device, folder: Path) -> None:
        """Load the model; pixels are kept in the folder."""
        name = options.clip or ""
        self._name = name
        self._options = options
        self._source = find_model(name)
        with loading(name):
            self._towers, self._model = load_towers(name, self._source, device, torch.float32)
        preprocessing = self._towers.preprocessing
        mark = content_hash(repr(preprocessing))
        self._pixels = RowCache(folder / f"pixels-{mark}")
        if options.checkpointing:
            self._model.gradient_checkpointing_enable()

    @property
    def towers(self) -> dict[str, str]:
        """What the model is made of, for its card."""
        return {"both towers, trained whole from": self._name}

    def gather(self, source: Source, views: int, *, progress: bool) -> TrainingData:
        """Read a source, and keep the pixels of its images."""
        preprocessing = self._towers.preprocessing
        return gather(
            source, self._options, views, preprocessing, self._pixels, _flat, progress=progress
        )

    def model(self, training: Pairs) -> Trainable:  # noqa: ARG002
        """The model as it was published."""
        return TowersModel(self._towers, self._pixels)

    def save(self, folder: Path, temperature: float) -> None:
        """Write the model as transformers does, with its tokenizer and image processor.

        Its logit scale becomes that of this training; but a model with a bias (SigLIP) keeps both
        of its own, since the loss here has none.
        """
        if hasattr(self._model, "logit_scale") and not hasattr(self._model, "logit_bias"):
            with torch.no_grad():
                self._model.logit_scale.fill_(-math.log(temperature))
        self._model.save_pretrained(folder)
        for pattern in MODEL_FILES:
            for path in self._source.glob(pattern):
                if not (folder / path.name).exists() and path.suffix != ".safetensors":
                    shutil.copy(path, folder)


def _pair(options: TrainOptions, device: torch.device) -> Pair:
    if options.clip is not None:
        return clip_pair(options.clip, find_model(options.clip), device)
    return separate_pair(
        options.text_model,
        options.image_model,
        device,
        pooling=options.pooling,
        features=options.features,
    )


def _sample(keys: Sequence[str], seed: int) -> list[str]:
    if len(keys) <= SCALE_ROWS:
        return list(keys)
    chosen = np.random.default_rng(seed).choice(len(keys), SCALE_ROWS, replace=False)
    return [keys[n] for n in chosen]


def _flat(pixels: Rows) -> Rows:
    return pixels.reshape(len(pixels), -1)
