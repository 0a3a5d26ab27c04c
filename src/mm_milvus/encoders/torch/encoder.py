"""The encoder made of two torch modules: an image tower and a text tower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mm_milvus.arrays import Pixels, Vectors
from mm_milvus.encoders.base import (
    DEFAULT_LOGIT_SCALE,
    EncoderSpec,
    check_pixels,
    encode_distinct,
)
from mm_milvus.encoders.torch.cpu import in_pieces, inference
from mm_milvus.encoders.torch.device import FittingBatches, default_batch_size
from mm_milvus.encoders.torch.text_input import TextInput, token_count
from mm_milvus.errors import EncoderError
from mm_milvus.images.preprocessing import Preprocessing

CPU_PIECE = 8
"""Items per call of a tower on a CPU core: more are no faster."""


class ImageTower(nn.Module):
    """Maps uint8 pixels (n, height, width, 3) to float32 rows (n, dim) of unit length.

    Normalising pixels is part of the tower, so that they travel to the device as bytes.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, features: nn.Module, preprocessing: Preprocessing, cpu_piece: int = CPU_PIECE
    ) -> None:
        """Wrap a network.

        Args:
            features: Maps normalised pixels (n, 3, height, width) to rows (n, dim).
            preprocessing: The mean and standard deviation that the network was trained with.
            cpu_piece: Images per call of the network that are fastest on a CPU core.
        """
        super().__init__()
        self.features = features
        self.cpu_piece = cpu_piece
        # On uint8 pixels, in one step: (pixel / 255 - mean) / std.
        for name, values in (("mean", preprocessing.mean), ("std", preprocessing.std)):
            scaled = torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1) * 255
            self.register_buffer(name, scaled, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed pixels: uint8 (n, height, width, 3) to float32 (n, dim) of unit length."""
        return normalize(self.unnormalised(pixels), dim=-1)

    def unnormalised(self, pixels: Tensor) -> Tensor:
        """Return what the network gives for pixels, float32 (n, dim), of any length."""
        # Seen as (n, 3, height, width) they are in channels_last order, which convolutions prefer.
        values = pixels.permute(0, 3, 1, 2).float().sub(self.mean).div(self.std)
        rows: Tensor = self.features(values.to(_dtype_of(self.features)))
        return rows.float()

    def embed(self, pixels: Pixels) -> Vectors:
        """Embed an array of at least one image, on all cores of a CPU."""
        if self.mean.device.type != "cpu":
            return self._embed(pixels)
        pieces = in_pieces(lambda piece: self._embed(pixels[piece]), len(pixels), self.cpu_piece)
        return np.concatenate(pieces)

    @inference()
    def _embed(self, pixels: Pixels) -> Vectors:
        # A copy: the caller's array may be read-only, or have strides that torch does not accept.
        on_device = torch.from_numpy(np.array(pixels, order="C")).to(self.mean.device)
        return np.asarray(self(on_device).cpu())


class TextTower(nn.Module):
    """Maps tokens, a tensor (n, tokens) for each input, to float32 rows (n, dim) of unit length."""

    def __init__(self, features: nn.Module) -> None:
        """Wrap a network.

        Args:
            features: Maps the inputs of a `TextInput`, by name, to rows (n, dim).
        """
        super().__init__()
        self.features = features

    def forward(self, **tokens: Tensor) -> Tensor:
        """Embed tokens: integers (n, tokens) each, to float32 (n, dim) of unit length."""
        rows: Tensor = self.features(**tokens)
        return normalize(rows.float(), dim=-1)


@dataclass(frozen=True, slots=True)
class Towers:
    """The parts of an encoder.

    Attributes:
        image: The image tower.
        text: The text tower, on the same device.
        text_input: How texts become the text tower's input.
        preprocessing: How images become the image tower's pixels.
    """

    image: ImageTower
    text: TextTower
    text_input: TextInput
    preprocessing: Preprocessing


class TorchEncoder:
    """An `Encoder` made of two towers, whose device and dtype it uses. Vectors are float32."""

    def __init__(
        self,
        name: str,
        towers: Towers,
        *,
        fingerprint: str,
        logit_scale: float = DEFAULT_LOGIT_SCALE,
        logit_bias: float | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Run both towers once, to learn the length of a vector.

        Args:
            name: What `load_encoder` was given.
            towers: The image tower and the text tower.
            fingerprint: Of the model: 16 hex digits.
            logit_scale: See `EncoderSpec`.
            logit_bias: See `EncoderSpec`.
            batch_size: Images per call of a tower, at least 1 (default: chosen by the device).

        Raises:
            EncoderError: When the vectors of the towers differ in length.
        """
        self.towers = towers
        self._device = towers.image.mean.device
        size = batch_size or default_batch_size(self._device)
        self._image_batches = FittingBatches(size)
        self._text_batches = FittingBatches(size)
        self._spec = EncoderSpec(
            id=name,
            fingerprint=fingerprint,
            dim=self._measure_dim(name),
            preprocessing=towers.preprocessing,
            max_tokens=towers.text_input.max_tokens,
            logit_scale=logit_scale,
            logit_bias=logit_bias,
        )

    @property
    def spec(self) -> EncoderSpec:
        """The properties of this encoder."""
        return self._spec

    @property
    def batch_size(self) -> int:
        """Images per call that fit the device; it falls when a batch ran out of memory."""
        return self._image_batches.size

    def encode_images(self, pixels: Pixels) -> Vectors:
        """Embed uint8 pixels (n, height, width, 3) as float32 (n, dim); see `Encoder`."""
        check_pixels(self._spec, pixels)
        vectors = np.empty((len(pixels), self._spec.dim), np.float32)
        batches = self._image_batches.run(
            lambda batch: self.towers.image.embed(pixels[batch]), len(pixels)
        )
        for batch, result in batches:
            vectors[batch] = result
        return vectors

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed n texts as float32 (n, dim); see `Encoder`.

        Each distinct text is encoded once, in batches of texts of similar length.
        """
        tokenize = partial(self.towers.text_input.tokenize, warn=True)
        return encode_distinct(texts, tokenize, token_count, self._encode_tokens)

    def _encode_tokens(self, tokens: Sequence[dict[str, list[int]]]) -> Vectors:
        vectors = np.empty((len(tokens), self._spec.dim), np.float32)
        batches = self._text_batches.run(lambda batch: self._embed(tokens[batch]), len(tokens))
        for batch, result in batches:
            vectors[batch] = result
        return vectors

    def _embed(self, tokens: Sequence[dict[str, list[int]]]) -> Vectors:
        """Embed the tokens of at least one text, on all cores of a CPU."""
        if self._device.type != "cpu":
            return self._embed_piece(tokens)
        pieces = in_pieces(lambda piece: self._embed_piece(tokens[piece]), len(tokens), CPU_PIECE)
        return np.concatenate(pieces)

    @inference()
    def _embed_piece(self, tokens: Sequence[dict[str, list[int]]]) -> Vectors:
        batch = self.towers.text_input.pad(tokens)
        fields = {name: values.to(self._device) for name, values in batch.items()}
        rows: Vectors = self.towers.text(**fields).cpu().numpy()
        return rows

    def _measure_dim(self, name: str) -> int:
        """Return the length of a vector, by running both towers on one item of the largest size."""
        height, width = self.towers.preprocessing.height, self.towers.preprocessing.width
        text_input = self.towers.text_input
        image = self.towers.image.embed(np.zeros((1, height, width, 3), np.uint8))
        text = self._embed(text_input.tokenize(["a " * text_input.max_tokens]))
        if image.ndim != 2 or image.shape != text.shape:
            raise EncoderError(
                f"{name}: its images become {image.shape[1:]} and its texts {text.shape[1:]}, "
                "not one vector of the same length; choose a model of the CLIP or SigLIP family"
            )
        return int(image.shape[1])


def _dtype_of(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype
