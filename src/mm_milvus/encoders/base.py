"""What an encoder is: a spec and two methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mm_milvus.arrays import Pixels, Vectors
from mm_milvus.images.preprocessing import Preprocessing

DEFAULT_LOGIT_SCALE = 100.0
"""Of an encoder that tells none: where CLIP's training ends (Radford et al., 2021)."""


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
    logit_scale    cosine to logit, by multiplication: 1 / the temperature of the training
    logit_bias     added to the logit by a model that was trained to judge each pair by itself, with
                   a sigmoid (SigLIP: Zhai et al., 2023); None: a softmax over texts, as CLIP's

    The last two turn cosines into probabilities. Vectors do not depend on them, and so neither
    does the fingerprint.
    """

    preprocessing: Preprocessing
    max_tokens: int
    logit_scale: float = DEFAULT_LOGIT_SCALE
    logit_bias: float | None = None


class Encoder(Protocol):
    """Maps images and texts into one space, where the inner product is the cosine.

    Its methods may be called from several threads at the same time: an ingest has two batches under
    way, and a search client is shared.
    """

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
