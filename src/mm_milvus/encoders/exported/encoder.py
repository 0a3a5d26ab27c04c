"""The encoder of an exported folder."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from tokenizers import Encoding, Tokenizer

from mm_milvus.arrays import Pixels, Vectors
from mm_milvus.encoders.base import EncoderSpec, check_pixels, encode_distinct
from mm_milvus.encoders.exported.config import (
    GRAPH_SUFFIX,
    TOKENIZER,
    WORDS,
    ExportedConfig,
    digest,
)
from mm_milvus.encoders.exported.runtimes import Graph, import_runtime, open_graph
from mm_milvus.encoders.exported.tokens import GraphTokenizer
from mm_milvus.encoders.spelling import Spelling
from mm_milvus.errors import EncoderError

BATCH_SIZE = 32


class ExportedEncoder:
    """An `Encoder` made of two graphs, each read and verified when it is first used."""

    def __init__(self, name: str, folder: Path, *, batch_size: int | None = None) -> None:
        """Read the description of an exported folder, and import its runtime.

        Args:
            name: What `load_encoder` was given.
            folder: The exported folder.
            batch_size: Images or texts per call of a graph, at least 1 (default: 32).

        Raises:
            EncoderError: When the description cannot be read.
            MissingExtraError: When the runtime is not installed.
        """
        self._name, self._folder = name, folder
        self._config = ExportedConfig.load(folder)
        import_runtime(self._config.format)
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
        """The properties of this encoder."""
        return self._spec

    @property
    def batch_size(self) -> int:
        """Images, or texts, per call of a graph."""
        return self._batch_size

    def encode_images(self, pixels: Pixels) -> Vectors:
        """Embed uint8 pixels (n, height, width, 3) as float32 (n, dim); see `Encoder`.

        Raises:
            EncoderError: Also when the files are not the ones that were exported.
        """
        check_pixels(self._spec, pixels)
        with self._opening:
            graph = self._image
        vectors = np.empty((len(pixels), self._spec.dim), np.float32)
        for start in range(0, len(pixels), self._batch_size):
            batch = slice(start, start + self._batch_size)
            vectors[batch] = graph([np.ascontiguousarray(pixels[batch])])
        return vectors

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed n texts as float32 (n, dim); see `Encoder`.

        Each distinct text is encoded once, in batches of texts of similar length.

        Raises:
            EncoderError: When the files are not the ones that were exported.
        """
        with self._opening:
            tokenizer, graph = self._tokenizer, self._text

        def encode(encodings: list[Encoding]) -> Vectors:
            vectors = np.empty((len(encodings), self._spec.dim), np.float32)
            for start in range(0, len(encodings), self._batch_size):
                batch = slice(start, start + self._batch_size)
                vectors[batch] = graph(tokenizer.pad(encodings[batch]))
            return vectors

        return encode_distinct(texts, partial(tokenizer.tokenize, warn=True), len, encode)

    @cached_property
    def _image(self) -> Graph:
        return self._graph("image")

    @cached_property
    def _text(self) -> Graph:
        return self._graph("text")

    @cached_property
    def _tokenizer(self) -> GraphTokenizer:
        folder = self._verified_folder("tokenizer")
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        spelling = None
        if WORDS in self._config.files:
            spelling = Spelling((folder / WORDS).read_text(encoding="utf-8").splitlines())
        return GraphTokenizer(tokenizer, self._config.padding, self._config.max_tokens, spelling)

    def _graph(self, tower: str) -> Graph:
        suffix = GRAPH_SUFFIX[self._config.format]
        return open_graph(self._verified_folder(tower) / f"{tower}{suffix}", self._config.format)

    def _verified_folder(self, part: str) -> Path:
        """Return the folder, after checking that the files of a part are those exported."""
        for file, exported_digest in self._config.files.items():
            if not file.startswith(f"{part}."):
                continue
            path = self._folder / file
            if not path.is_file():
                raise EncoderError(f"{self._name}: {file} is missing; export the model again")
            if digest(path) != exported_digest:
                raise EncoderError(
                    f"{self._name}: {file} is not the file that was exported; "
                    "export the model again"
                )
        return self._folder


def load_exported(
    name: str, *, device: str | None = None, batch_size: int | None = None
) -> ExportedEncoder:
    """Load the encoder of a folder that `export` wrote.

    Args:
        name: The folder.
        device: None or "cpu".
        batch_size: As in `load_encoder`.

    Raises:
        EncoderError: When the description cannot be read, or the device is not the CPU.
        MissingExtraError: When the runtime is not installed.
    """
    if device not in (None, "cpu"):
        raise EncoderError(
            f"{name}: an exported encoder runs on the CPU, not on {device}; "
            "load the model that it was exported from"
        )
    return ExportedEncoder(name, Path(name), batch_size=batch_size)
