"""The bundled encoder `compact`: its text tower in numpy, its image tower in torch."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Pixels, Vectors
from mm_milvus.encoders.base import EncoderSpec, check_pixels, warn_of_cut_texts
from mm_milvus.encoders.spelling import Spelling, clean_texts
from mm_milvus.images.preprocessing import Preprocessing

if TYPE_CHECKING:
    from mm_milvus.encoders.torch.encoder import ImageTower, Towers

PREPROCESSING = Preprocessing(
    height=224,
    width=224,
    shortest_edge=None,
    resample="bicubic",
    mean=(127 / 255, 127 / 255, 127 / 255),
    std=(128 / 255, 128 / 255, 128 / 255),
)
MAX_TOKENS = 128
LOGIT_SCALE = 1 / 0.06
"""1 / the temperature of its training, in `scripts/train_compact`."""

BATCH_SIZE = 32

WEIGHTS = "compact.safetensors"
TOKENIZER = "tokenizer.json"
WORDS = "words.txt"

Weights = dict[str, NDArray[np.generic]]


class CompactEncoder:
    """EfficientNet-Lite0 features and static token vectors, projected into one space.

    The text tower uses numpy only, and torch is imported with the first image: a text query, and an
    ingest that finds nothing changed, do not wait for it.
    """

    def __init__(self, device: str | None = None, batch_size: int | None = None) -> None:
        """Read the bundled files; each tower is built when it is first used.

        Args:
            device: A torch device for the image tower (default: the GPU where there is one).
            batch_size: Images per call that `batch_size` reports, at least 1.
        """
        folder = files("mm_milvus.encoders.compact")
        data, tokenizer, words = (
            (folder / name).read_bytes() for name in (WEIGHTS, TOKENIZER, WORDS)
        )
        self._data = data
        self._tokenizer_json = tokenizer.decode()
        self._words = words.decode().split()
        self._device = device
        self._batch_size = batch_size or BATCH_SIZE
        self._building = threading.Lock()
        digest = blake2b(digest_size=8)
        for part in (data, tokenizer, words, repr(PREPROCESSING).encode()):
            digest.update(part)
        self._spec = EncoderSpec(
            id="compact",
            fingerprint=digest.hexdigest(),
            dim=_shape(data, "text.output.weight")[0],
            preprocessing=PREPROCESSING,
            max_tokens=MAX_TOKENS,
            logit_scale=LOGIT_SCALE,
        )

    @property
    def spec(self) -> EncoderSpec:
        """The properties of this encoder."""
        return self._spec

    @property
    def batch_size(self) -> int:
        """Number of images per call of `encode_images` that is fastest."""
        return self._batch_size

    @property
    def towers(self) -> Towers:
        """The same encoder as two new torch modules on the CPU."""
        from mm_milvus.encoders.compact.towers import towers_of

        with self._building:
            spelling = self._text_tower.spelling
        return towers_of(self._weights, self._tokenizer_json, spelling, PREPROCESSING, MAX_TOKENS)

    def encode_images(self, pixels: Pixels) -> Vectors:
        """Embed uint8 pixels (n, 224, 224, 3) as float32 (n, 256); see `Encoder`."""
        check_pixels(self._spec, pixels)
        if len(pixels) == 0:
            return np.empty((0, self._spec.dim), np.float32)
        with self._building:
            tower = self._image_tower
        return tower.embed(pixels)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed n texts as float32 (n, 256); see `Encoder`."""
        if len(texts) == 0:
            return np.empty((0, self._spec.dim), np.float32)
        with self._building:
            tower = self._text_tower
        return tower(texts)

    @cached_property
    def _weights(self) -> Weights:
        from safetensors.numpy import load

        return load(self._data)

    @cached_property
    def _image_tower(self) -> ImageTower:
        from mm_milvus.encoders.compact.towers import image_tower
        from mm_milvus.encoders.torch.device import torch_device

        return image_tower(self._weights, PREPROCESSING).to(torch_device(self._device))

    @cached_property
    def _text_tower(self) -> TextTower:
        return TextTower(_part(self._weights, "text."), self._tokenizer_json, self._words)


class TextTower:
    """Maps texts to unit vectors: the sum of static token vectors, through a small network."""

    def __init__(self, weights: Weights, tokenizer_json: str, words: list[str]) -> None:
        """Unpack the token table, int8 with one scale per row.

        Args:
            weights: The tensors of the text tower.
            tokenizer_json: The file of the `tokenizers` library.
            words: Known words that are not tokens, the most common first.
        """
        from tokenizers import Tokenizer

        table, scale = weights["tokens"], weights["scales"]
        self._tokens = table.astype(np.float32) * scale.astype(np.float32)[:, None]
        self._layers = {
            name: value.astype(np.float32)
            for name, value in weights.items()
            if name not in ("tokens", "scales")
        }
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        vocabulary = self._tokenizer.get_vocab()
        self.spelling = Spelling([*sorted(vocabulary, key=vocabulary.__getitem__), *words])

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Embed n texts, at least one, as float32 (n, dim) of unit length.

        A text without a token (empty, or of unknown characters) has a vector too.
        """
        clean = clean_texts(texts, self.spelling, MAX_TOKENS)
        encodings = self._tokenizer.encode_batch(clean, add_special_tokens=False)
        warn_of_cut_texts(encodings, MAX_TOKENS)
        sums = np.stack([self._tokens[encoding.ids].sum(axis=0) for encoding in encodings])
        return self._project(_unit(sums))

    def _project(self, x: NDArray[np.float32]) -> Vectors:
        layers = self._layers
        hidden = np.maximum(x @ layers["hidden.weight"].T + layers["hidden.bias"], 0)
        residual = hidden @ layers["output.weight"].T + layers["output.bias"]
        return _unit(x @ layers["linear.weight"].T + residual)


def _shape(data: bytes, name: str) -> list[int]:
    """Return the shape of a tensor from the header of a safetensors file: its length, and JSON."""
    length = int.from_bytes(data[:8], "little")
    shape: list[int] = json.loads(data[8 : 8 + length])[name]["shape"]
    return shape


def _part(weights: Weights, prefix: str) -> Weights:
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-12), dtype=np.float32)
