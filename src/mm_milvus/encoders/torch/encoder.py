"""The encoder that is two torch modules: an image tower and a text tower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mm_milvus.arrays import Pixels, Vectors
from mm_milvus.encoders.base import DEFAULT_LOGIT_SCALE, EncoderSpec
from mm_milvus.encoders.distinct import encode_distinct
from mm_milvus.encoders.torch.batching import FittingBatches
from mm_milvus.encoders.torch.cpu import in_pieces, inference
from mm_milvus.encoders.torch.text_input import TextInput, token_count
from mm_milvus.errors import EncoderError
from mm_milvus.images.preprocessing import Preprocessing
from mm_milvus.text import first_line

CPU_BATCH = 32
GPU_BATCH = 256
CPU_PIECE = 8
"""So many images go through a tower at once on a CPU: more are no faster."""


class ImageTower(nn.Module):
    """uint8 pixels (n, height, width, 3) to float32 unit rows (n, dim).

    Normalising is part of the tower: pixels travel to the device as bytes.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, features: nn.Module, preprocessing: Preprocessing, cpu_piece: int = CPU_PIECE
    ) -> None:
        """Wrap a network.

        features   maps normalised pixels (n, 3, height, width) to rows (n, dim)
        cpu_piece  how many images it likes to have at once on a CPU
        """
        super().__init__()
        self.features = features
        self.cpu_piece = cpu_piece
        # On uint8 pixels: (pixel / 255 - mean) / std in one step.
        for name, values in (("mean", preprocessing.mean), ("std", preprocessing.std)):
            scaled = torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1) * 255
            self.register_buffer(name, scaled, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed pixels."""
        return normalize(self.rows(pixels), dim=-1)

    def vectors(self, pixels: Pixels) -> Vectors:
        """What calling it gives, for any number of images but none: on a CPU in pieces."""
        if self.mean.device.type != "cpu":
            return self._vectors(pixels)
        pieces = in_pieces(lambda part: self._vectors(pixels[part]), len(pixels), self.cpu_piece)
        return np.concatenate(pieces)

    @inference()
    def _vectors(self, pixels: Pixels) -> Vectors:
        # A copy: the caller's array may be read-only, or a view that torch does not take.
        on_device = torch.from_numpy(np.array(pixels, order="C")).to(self.mean.device)
        return np.asarray(self(on_device).cpu())

    def rows(self, pixels: Tensor) -> Tensor:
        """The features as they are; NHWC seen as NCHW is channels_last, which convolutions like."""
        values = pixels.permute(0, 3, 1, 2).float().sub(self.mean).div(self.std)
        rows: Tensor = self.features(values.to(_dtype_of(self.features)))
        return rows.float()


class TextTower(nn.Module):
    """Tokens, a tensor (n, tokens) for each field of a `TextInput`, to float32 unit rows."""

    def __init__(self, features: nn.Module) -> None:
        """`features` maps the fields to rows (n, dim)."""
        super().__init__()
        self.features = features

    def forward(self, **tokens: Tensor) -> Tensor:
        """Embed tokens."""
        rows: Tensor = self.features(**tokens)
        return normalize(rows.float(), dim=-1)


@dataclass(frozen=True, slots=True)
class Towers:
    """What an encoder is made of.

    image, text    the modules, on one device
    text_input     how texts become the text tower's input
    preprocessing  how images become the image tower's
    """

    image: ImageTower
    text: TextTower
    text_input: TextInput
    preprocessing: Preprocessing


class TorchEncoder:
    """An `Encoder` of two towers; their device and type are theirs. Vectors are float32."""

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
        """Run both towers once; raises EncoderError where their vectors differ in length.

        name and batch_size are those of `load_encoder`, the logit's numbers of `EncoderSpec`.
        """
        if batch_size is not None and batch_size < 1:
            raise EncoderError(f"{name}: a batch of {batch_size} images; it must be at least 1")
        self.towers = towers
        self._device = towers.image.mean.device
        size = batch_size or (CPU_BATCH if self._device.type == "cpu" else GPU_BATCH)
        self._image_batches = FittingBatches(size)
        self._text_batches = FittingBatches(size)
        self._spec = EncoderSpec(
            id=name,
            fingerprint=fingerprint,
            dim=self._probe(name),
            preprocessing=towers.preprocessing,
            max_tokens=towers.text_input.max_tokens,
            logit_scale=logit_scale,
            logit_bias=logit_bias,
        )

    @property
    def spec(self) -> EncoderSpec:
        """The facts of this encoder."""
        return self._spec

    @property
    def batch_size(self) -> int:
        """How many images fit the device at once; falls when a batch ran out of memory."""
        return self._image_batches.size

    def encode_images(self, pixels: Pixels) -> Vectors:
        """Embed uint8 (n, height, width, 3) pixels to float32 (n, dim), unit rows."""
        height, width = self._spec.preprocessing.height, self._spec.preprocessing.width
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (height, width, 3):
            raise EncoderError(
                f"{self._spec.id}: pixels must be uint8 (n, {height}, {width}, 3), not "
                f"{pixels.dtype} {pixels.shape}; load them with load_pixels"
            )
        vectors = np.empty((len(pixels), self._spec.dim), np.float32)
        batches = self._image_batches.run(
            lambda rows: self.towers.image.vectors(pixels[rows]), len(pixels)
        )
        for rows, result in batches:
            vectors[rows] = result
        return vectors

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed n texts to float32 (n, dim), unit rows, in the given order.

        Each distinct text is encoded once, in batches of texts of like length.
        """
        return encode_distinct(texts, self.towers.text_input.tokens, token_count, self._all_texts)

    def _all_texts(self, tokens: Sequence[dict[str, list[int]]]) -> Vectors:
        vectors = np.empty((len(tokens), self._spec.dim), np.float32)
        batches = self._text_batches.run(lambda rows: self._texts(tokens[rows]), len(tokens))
        for rows, result in batches:
            vectors[rows] = result
        return vectors

    def _texts(self, tokens: Sequence[dict[str, list[int]]]) -> Vectors:
        if self._device.type != "cpu":
            return self._text_vectors(tokens)
        pieces = in_pieces(lambda part: self._text_vectors(tokens[part]), len(tokens), CPU_PIECE)
        return np.concatenate(pieces)

    @inference()
    def _text_vectors(self, tokens: Sequence[dict[str, list[int]]]) -> Vectors:
        batch = self.towers.text_input.pad(tokens)
        fields = {name: values.to(self._device) for name, values in batch.items()}
        rows: Vectors = self.towers.text(**fields).cpu().numpy()
        return rows

    def _probe(self, name: str) -> int:
        """The length of a vector, after both towers did one item of the greatest size."""
        height, width = self.towers.preprocessing.height, self.towers.preprocessing.width
        text_input = self.towers.text_input
        image = self.towers.image.vectors(np.zeros((1, height, width, 3), np.uint8))
        text = self._texts(text_input.tokens(["a " * text_input.max_tokens]))
        if image.ndim != 2 or image.shape != text.shape:
            raise EncoderError(
                f"{name}: its images become {image.shape[1:]} and its texts {text.shape[1:]}, "
                "not one vector of the same length; choose a model of the CLIP or SigLIP family"
            )
        return int(image.shape[1])


def torch_device(name: str | None) -> torch.device:
    """The device of that name; None: the GPU where there is one. Raises EncoderError."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EncoderError(
            f"the device {name} cannot be used here ({first_line(error)}); use cpu"
        ) from error
    return device


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on a GPU that has it, else float32."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return torch.float32


def _dtype_of(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype
