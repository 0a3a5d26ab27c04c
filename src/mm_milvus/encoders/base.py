"""What an encoder is: a spec and two methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mm_milvus.images import Preprocessing

Pixels = NDArray[np.uint8]
"""Images ready for an encoder: uint8, (n, height, width, 3), RGB."""

Vectors = NDArray[np.float32]
"""Embeddings: float32, (n, dim), each row of unit length."""


@dataclass(frozen=True, slots=True)
class EncoderIdentity:
    """Whose vectors these are: what is stored beside them.

    id           what `load_encoder` was given
    fingerprint  16 hex digits over weights, preprocessing and pooling: equal fingerprints mean
                 equal vectors
    dim          the length of a vector
    """

    id: str
    fingerprint: str
    dim: int


@dataclass(frozen=True, slots=True)
class EncoderSpec(EncoderIdentity):
    """The facts of an encoder that its neighbours need.

    preprocessing  how a decoded image becomes the pixels that `encode_images` takes
    max_tokens     texts are cut to this many tokens
    """

    preprocessing: Preprocessing
    max_tokens: int


class Encoder(Protocol):
    """Maps images and texts into one space, where the inner product is the cosine."""

    @property
    def spec(self) -> EncoderSpec:
        """The facts of this encoder."""

    @property
    def batch_size(self) -> int:
        """How many images are worth handing over in one call."""

    def encode_images(self, pixels: Pixels) -> Vectors:
        """Embed uint8 pixels of `spec.preprocessing`; an empty batch gives an empty result."""

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed texts of any length and script, in the given order."""
