"""What is trained: a projection of cached features, or a whole CLIP model on cached pixels.

Both map images and texts to unit rows; the loop that trains them sees nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mm_milvus.choices import IMAGE_FIELD
from mm_milvus.encoders.torch.encoder import Towers
from mm_milvus.encoders.trained.dual import Projection
from mm_milvus.keys import content_hash
from mm_milvus.training.pairs import Indices, Pairs
from mm_milvus.training.row_cache import RowCache
from mm_milvus.training.views import view_key


class Trainable(Protocol):
    """Maps images and texts to unit rows, with gradients."""

    @property
    def module(self) -> nn.Module:
        """The module with the parameters that are trained."""

    def images(self, keys: Sequence[str]) -> Tensor:
        """Return unit rows (n, dim) of the views with these keys."""

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit rows (n, dim) of texts."""


class ProjectionModel:
    """A projection of features, which are read from caches."""

    def __init__(
        self, projection: Projection, images: RowCache, texts: RowCache, device: torch.device
    ) -> None:
        """Train a projection on a device; the caches hold the features of all views and texts."""
        self._projection = projection.to(device)
        self._images, self._texts = images, texts
        self._device = device

    @property
    def module(self) -> nn.Module:
        """The projection."""
        return self._projection

    def images(self, keys: Sequence[str]) -> Tensor:
        """Return unit rows (n, dim) of the views with these keys."""
        return normalize(self._projection.image(self._tensor(self._images, keys)), dim=-1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit rows (n, dim) of texts."""
        keys = [content_hash(text) for text in texts]
        return normalize(self._projection.text(self._tensor(self._texts, keys)), dim=-1)

    def _tensor(self, cache: RowCache, keys: Sequence[str]) -> Tensor:
        return torch.from_numpy(cache.take(keys).astype(np.float32)).to(self._device)


class TowersModel:
    """The towers of a CLIP model; pixels are read from a cache, texts are tokenised as needed.

    On a GPU the towers compute in bfloat16, with float32 weights.
    """

    def __init__(self, towers: Towers, pixels: RowCache) -> None:
        """Train both towers; the cache holds the pixels of all views, flattened, one row each."""
        self._towers = towers
        self._pixels = pixels
        self._module = nn.ModuleList([towers.image, towers.text])
        self._device = towers.image.mean.device

    @property
    def module(self) -> nn.Module:
        """Both towers."""
        return self._module

    def images(self, keys: Sequence[str]) -> Tensor:
        """Return unit rows (n, dim) of the views with these keys."""
        shape = (self._towers.preprocessing.height, self._towers.preprocessing.width, 3)
        pixels = torch.from_numpy(self._pixels.take(keys).reshape(-1, *shape)).to(self._device)
        with self._precision():
            rows: Tensor = self._towers.image(pixels)
        return rows

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit rows (n, dim) of texts."""
        text_input = self._towers.text_input
        batch = text_input.pad(text_input.tokenize(texts))
        with self._precision():
            rows: Tensor = self._towers.text(
                **{name: values.to(self._device) for name, values in batch.items()}
            )
        return rows

    def _precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, self._device.type == "cuda")


def documents(
    model: Trainable, pairs: Pairs, rows: Indices, views: Indices, weights: Mapping[str, float]
) -> Tensor:
    """Return unit rows (n, dim) of documents: weighted sums of their fields' unit rows.

    Args:
        model: Maps images and texts to unit rows.
        pairs: All documents.
        rows: The numbers of the n documents in `pairs`.
        views: The number of the view of each document's image.
        weights: Weights of the fields; a field that a document lacks adds nothing to it.
    """
    parts = []
    for name, weight in weights.items():
        if name == IMAGE_FIELD:
            keys = [
                view_key(pairs.images[row], view) for row, view in zip(rows, views, strict=True)
            ]
            parts.append(weight * model.images(keys))
        else:
            numbers = [pairs.fields[name][row] for row in rows]
            has_text = torch.tensor([number >= 0 for number in numbers])
            # A missing text is embedded as the empty text, with the weight 0.
            part = model.texts([pairs.texts[number] if number >= 0 else "" for number in numbers])
            parts.append(part * (weight * has_text.to(part.device, part.dtype)).unsqueeze(1))
    return normalize(torch.stack(parts).sum(dim=0), dim=-1)
