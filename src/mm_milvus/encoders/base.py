"""The protocol of an encoder, its spec, and what every encoder does with its inputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Pixels, Vectors
from mm_milvus.errors import CutTextWarning, EncoderError, OptionError
from mm_milvus.images.preprocessing import Preprocessing

DEFAULT_LOGIT_SCALE = 100.0
"""Of an encoder that does not state its own: where CLIP's training ends (Radford et al., 2021)."""

Tokens = TypeVar("Tokens")


@dataclass(frozen=True, slots=True)
class EncoderIdentity:
    """Which encoder vectors came from; it is stored together with them.

    Attributes:
        id: The name that `load_encoder` was given.
        fingerprint: 16 hex digits over weights, preprocessing and pooling; equal fingerprints
            mean equal vectors.
        dim: Length of a vector.
    """

    id: str
    fingerprint: str
    dim: int


@dataclass(frozen=True, slots=True)
class EncoderSpec(EncoderIdentity):
    """The properties of an encoder that the rest of the library relies on.

    `logit_scale` and `logit_bias` turn cosines into probabilities. Vectors do not depend on them,
    and so neither does the fingerprint.

    Attributes:
        id: The name that `load_encoder` was given.
        fingerprint: 16 hex digits over weights, preprocessing and pooling; equal fingerprints
            mean equal vectors.
        dim: Length of a vector.
        preprocessing: How a decoded image becomes the pixels that `encode_images` takes.
        max_tokens: Texts are truncated to this number of tokens.
        logit_scale: Factor from cosine to logit: 1 / the temperature of the training.
        logit_bias: Added to the logit by models trained to judge each pair independently with a
            sigmoid (SigLIP: Zhai et al., 2023); None for a softmax over texts, as in CLIP.
    """

    preprocessing: Preprocessing
    max_tokens: int
    logit_scale: float = DEFAULT_LOGIT_SCALE
    logit_bias: float | None = None


class Encoder(Protocol):
    """Maps images and texts into one vector space, where the inner product is the cosine.

    Methods may be called from several threads in parallel: an ingest encodes two batches at a
    time, and a search client is shared between threads.
    """

    @property
    def spec(self) -> EncoderSpec:
        """The properties of this encoder."""

    @property
    def batch_size(self) -> int:
        """Number of images per call of `encode_images` that is fastest on its device."""

    def encode_images(self, pixels: Pixels) -> Vectors:
        """Embed images.

        Args:
            pixels: uint8, (n, height, width, 3), RGB, with the height and width of
                `spec.preprocessing`; n may be 0. `embed_images` makes them from image files.

        Returns:
            float32, (n, dim), each row of unit length.

        Raises:
            EncoderError: When `pixels` have another dtype or shape; see `check_pixels`.
        """

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed texts of any length and script, the empty one included.

        Args:
            texts: n texts; n may be 0.

        Returns:
            float32, (n, dim), each row of unit length, in the order of the texts.
        """


def check_pixels(spec: EncoderSpec, pixels: Pixels) -> None:
    """Check that pixels are what an encoder takes; `encode_images` calls this first.

    Args:
        spec: The spec of the encoder.
        pixels: Any object that was passed as pixels.

    Raises:
        EncoderError: When they are not a uint8 array of (n, height, width, 3), with the height and
            width of `spec.preprocessing`. Other pixels, such as PIL images or a batch of another
            size, would give a wrong vector, or an error deep inside the model.
    """
    height, width = spec.preprocessing.height, spec.preprocessing.width
    if isinstance(pixels, np.ndarray):
        if pixels.dtype == np.uint8 and pixels.ndim == 4 and pixels.shape[1:] == (height, width, 3):
            return
        actual = f"{pixels.dtype} {pixels.shape}"
    else:
        actual = type(pixels).__name__
    raise EncoderError(
        f"{spec.id}: pixels must be uint8 (n, {height}, {width}, 3), not {actual}; "
        "call `embed_images` with the images, which resizes them"
    )


def check_batch_size(batch_size: int | None) -> None:
    """Raise `OptionError` for a batch size below 1; None lets the device decide."""
    if batch_size is not None and batch_size < 1:
        raise OptionError(f"`batch_size` is {batch_size}, and must be at least 1")


def warn_of_cut_texts(encodings: Iterable[Any], max_tokens: int) -> None:
    """Warn where texts were truncated; Python shows the same warning once.

    Args:
        encodings: What the `tokenizers` library made of the texts.
        max_tokens: Maximum number of tokens of a text.
    """
    if any(encoding.overflowing for encoding in encodings):
        warnings.warn(
            f"the encoder reads at most {max_tokens} tokens of a text: what exceeds them in a "
            "longer text is left out",
            CutTextWarning,
            stacklevel=2,
        )


def encode_distinct(
    texts: Sequence[str],
    tokenize: Callable[[list[str]], Sequence[Tokens]],
    length: Callable[[Tokens], int],
    encode: Callable[[list[Tokens]], NDArray[Any]],
) -> NDArray[Any]:
    """Encode each distinct text once, in an order that needs little padding.

    Args:
        texts: n texts.
        tokenize: Returns the tokens of each of the distinct texts; not called without a text.
        length: Returns the number of tokens of one text.
        encode: Returns rows (m, dim) for the tokens of m texts, the longest text first: batches
            cut from them need little padding, and the first batch takes the most memory.

    Returns:
        Rows (n, dim) in the order of the texts, with the dtype of what `encode` returns.
    """
    positions = {text: position for position, text in enumerate(dict.fromkeys(texts))}
    tokens = tokenize(list(positions)) if positions else []
    order = sorted(range(len(tokens)), key=lambda position: -length(tokens[position]))
    ordered_rows = encode([tokens[position] for position in order])
    rows = np.empty_like(ordered_rows)
    rows[order] = ordered_rows
    return rows[[positions[text] for text in texts]]
