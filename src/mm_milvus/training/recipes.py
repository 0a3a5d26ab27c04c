"""The two recipes of a training: a projection over frozen towers, or a whole CLIP model."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from mm_milvus.arrays import Pixels
from mm_milvus.choices import ProgressMode
from mm_milvus.encoders.snapshot import MODEL_FILES, find_model
from mm_milvus.encoders.trained.dual import Projection, ProjectionShape, save_dual
from mm_milvus.encoders.trained.pair import Pair, clip_pair, separate_pair
from mm_milvus.encoders.transformers.clip import load_towers
from mm_milvus.encoders.transformers.pretrained import loading
from mm_milvus.keys import content_hash
from mm_milvus.pipeline.report import Report
from mm_milvus.rejects import RejectsFile
from mm_milvus.sources.base import Source
from mm_milvus.training.features import cache_texts, read_pairs
from mm_milvus.training.model import ProjectionModel, TowersModel, Trainable
from mm_milvus.training.options import TrainOptions
from mm_milvus.training.pairs import Pairs
from mm_milvus.training.row_cache import RowCache, Rows
from mm_milvus.training.towers import FrozenTowers
from mm_milvus.training.views import view_key

SCALE_ROWS = 4096
"""Number of features that the scale of a tower's features is estimated from."""


class Recipe(Protocol):
    """Reads sources, makes the model that is trained on them, and saves it."""

    @property
    def towers(self) -> dict[str, str]:
        """Names of the towers, by what they are used for, for the model card."""

    def read(
        self,
        source: Source,
        views: int,
        *,
        report: Report,
        rejects: RejectsFile,
        progress: ProgressMode | bool,
    ) -> Pairs:
        """Read a source, and cache what the model needs of its images and texts.

        Args:
            source: Items with captions.
            views: Views per image.
            report: Counts, filled in.
            rejects: Receives the rejected items.
            progress: How to show progress on stderr.
        """

    def model(self, training: Pairs) -> Trainable:
        """Return the model in its initial state."""

    def save(self, folder: Path, temperature: float) -> None:
        """Write the model into an empty folder, with the temperature that it was trained to."""


class FrozenRecipe:
    """A projection over the features of frozen towers, which are computed once and cached."""

    def __init__(self, options: TrainOptions, device: torch.device, folder: Path) -> None:
        """Load the towers; their features are cached in the folder."""
        self._options = options
        self._device = device
        self._pair = _pair(options, device)
        self._frozen = FrozenTowers(self._pair, device)
        fingerprint = self._pair.fingerprint
        self._images = RowCache(folder / f"images-{fingerprint}")
        self._texts = RowCache(folder / f"texts-{fingerprint}")

    @property
    def towers(self) -> dict[str, str]:
        """Names of the towers, by what they are used for, for the model card."""
        options = self._options
        if options.clip is not None:
            return {"both towers, frozen": options.clip}
        return {
            "text tower, frozen": f"{options.text_model}, {self._pair.settings['pooling']} pooling",
            "image tower, frozen": f"{options.image_model}, {options.features} features",
        }

    def read(
        self,
        source: Source,
        views: int,
        *,
        report: Report,
        rejects: RejectsFile,
        progress: ProgressMode | bool,
    ) -> Pairs:
        """Read a source, and cache the features of its images and texts."""
        pairs = read_pairs(
            source,
            self._options,
            views,
            self._pair.preprocessing,
            self._images,
            self._frozen.images,
            report=report,
            rejects=rejects,
            progress=progress,
        )
        # The empty text stands for the texts that documents lack.
        cache_texts([*pairs.texts, ""], self._texts, self._frozen.texts)
        return pairs

    def model(self, training: Pairs) -> Trainable:
        """Return a random projection, scaled to the features of the training data."""
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
    """All weights of a CLIP model; its images are cached as pixels."""

    def __init__(self, options: TrainOptions, device: torch.device, folder: Path) -> None:
        """Load the model; pixels are cached in the folder."""
        name = options.clip or ""
        self._name = name
        self._options = options
        self._source = find_model(name)
        with loading(name):
            self._towers, self._model = load_towers(name, self._source, device, torch.float32)
        preprocessing = self._towers.preprocessing
        self._pixels = RowCache(folder / f"pixels-{content_hash(repr(preprocessing))}")
        if options.checkpointing:
            self._model.gradient_checkpointing_enable()

    @property
    def towers(self) -> dict[str, str]:
        """Names of the towers, by what they are used for, for the model card."""
        return {"both towers, trained whole from": self._name}

    def read(
        self,
        source: Source,
        views: int,
        *,
        report: Report,
        rejects: RejectsFile,
        progress: ProgressMode | bool,
    ) -> Pairs:
        """Read a source, and cache the pixels of its images."""
        return read_pairs(
            source,
            self._options,
            views,
            self._towers.preprocessing,
            self._pixels,
            _flatten,
            report=report,
            rejects=rejects,
            progress=progress,
        )

    def model(self, training: Pairs) -> Trainable:  # noqa: ARG002
        """Return the model with its published weights."""
        return TowersModel(self._towers, self._pixels)

    def save(self, folder: Path, temperature: float) -> None:
        """Write the model in the format of transformers, with its tokenizer and image processor.

        Its logit scale becomes that of this training. A model with a logit bias (SigLIP) keeps its
        published scale and bias: the loss here has no bias.
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


def _flatten(pixels: Pixels) -> Rows:
    return pixels.reshape(len(pixels), -1)
