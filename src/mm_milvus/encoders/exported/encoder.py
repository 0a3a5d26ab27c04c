"""The encoder of an exported folder."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from tokenizers import Encoding, Tokenizer

from mm_milvus.arrays import Pixels, Vectors
from mm_milvus.encoders.base import EncoderSpec
from mm_milvus.encoders.distinct import encode_distinct
from mm_milvus.encoders.exported.config import (
    GRAPH_SUFFIX,
    TOKENIZER,
    WORDS,
    ExportedConfig,
    digest,
)
from mm_milvus.encoders.exported.runtimes import Graph, open_graph, runtime
from mm_milvus.encoders.exported.tokens import Tokens
from mm_milvus.encoders.spelling import Spelling
from mm_milvus.errors import EncoderError

BATCH_SIZE = 32


class ExportedEncoder:
    """An `Encoder` of two graphs; each is read, and checked to be whole, when it is first used."""

    def __init__(self, name: str, folder: Path, *, batch_size: int | None = None) -> None:
        """Read mm_milvus.json; raises EncoderError.

        name, batch_size  those of `load_encoder`
        """
        if batch_size is not None and batch_size < 1:
            raise EncoderError(f"{name}: a batch of {batch_size} images; it must be at least 1")
        self._name, self._folder = name, folder
        self._config = ExportedConfig.load(folder)
        runtime(self._config.format)
        self._batch_size = batch_size or BATCH_SIZE
        self._opening = threading.Lock()
        self._spec = EncoderSpec(
            id=name,
            fingerprint=self._config.fingerprint,
            dim=self._config.dim,
            preprocessing=self._config.preprocessing,
            max_tokens=self._config.max_tokens,
            logit_scale=self._config.logit_scale,
            logit_bias=self._config.logit_bias,
        )

    @property
    def spec(self) -> EncoderSpec:
        """The facts of this encoder."""
        return self._spec

    @property
    def config(self) -> ExportedConfig:
        """Where it comes from, and how it runs."""
        return self._config

    @property
    def batch_size(self) -> int:
        """How many images, or texts, go through a graph at once."""
        return self._batch_size

    def encode_images(self, pixels: Pixels) -> Vectors:
        """Embed uint8 (n, height, width, 3) pixels to float32 (n, dim), unit rows."""
        height, width = self._spec.preprocessing.height, self._spec.preprocessing.width
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (height, width, 3):
            raise EncoderError(
                f"{self._name}: pixels must be uint8 (n, {height}, {width}, 3), not "
                f"{pixels.dtype} {pixels.shape}; load them with load_pixels"
            )
        with self._opening:
            graph = self._image
        vectors = np.empty((len(pixels), self._spec.dim), np.float32)
        for start in range(0, len(pixels), self._batch_size):
            batch = slice(start, start + self._batch_size)
            vectors[batch] = graph([np.ascontiguousarray(pixels[batch])])
        return vectors

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed n texts to float32 (n, dim), unit rows, in the given order.

        Each distinct text is encoded once, in batches of texts of like length.
        """
        with self._opening:
            tokens, graph = self._tokens, self._text

        def encode(encodings: list[Encoding]) -> Vectors:
            vectors = np.empty((len(encodings), self._spec.dim), np.float32)
            for start in range(0, len(encodings), self._batch_size):
                batch = slice(start, start + self._batch_size)
                vectors[batch] = graph(tokens.pad(encodings[batch]))
            return vectors

        return encode_distinct(texts, tokens.of, len, encode)

    @cached_property
    def _image(self) -> Graph:
        return self._graph("image")

    @cached_property
    def _text(self) -> Graph:
        return self._graph("text")

    @cached_property
    def _tokens(self) -> Tokens:
        folder = self._whole("tokenizer")
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        spelling = None
        if WORDS in self._config.files:
            spelling = Spelling((folder / WORDS).read_text(encoding="utf-8").splitlines())
        return Tokens(tokenizer, self._config.padding, self._config.max_tokens, spelling)

    def _graph(self, tower: str) -> Graph:
        suffix = GRAPH_SUFFIX[self._config.format]
        return open_graph(self._whole(tower) / f"{tower}{suffix}", self._config.format)

    def _whole(self, part: str) -> Path:
        """The folder, once the part's files are seen to be those that were exported."""
        for file, known in self._config.files.items():
            path = self._folder / file
            if file.startswith(f"{part}.") and not (path.is_file() and digest(path) == known):
                what = "is not the file that was exported" if path.is_file() else "is missing"
                raise EncoderError(f"{self._name}: {file} {what}; export the model again")
        return self._folder


def load_exported(
    name: str, *, device: str | None = None, batch_size: int | None = None
) -> ExportedEncoder:
    """The encoder of the folder `name`, which `export` wrote; raises EncoderError."""
    if device not in (None, "cpu"):
        raise EncoderError(
            f"{name}: an exported encoder runs on the CPU, not on {device}; "
            "load the model that it was exported from"
        )
    return ExportedEncoder(name, Path(name), batch_size=batch_size)
