"""Texts to the inputs of a text graph, with the `tokenizers` library and numpy."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from mm_milvus.encoders.exported.config import Padding
from mm_milvus.encoders.spelling import Spelling

FIELDS = {
    "input_ids": attrgetter("ids"),
    "attention_mask": attrgetter("attention_mask"),
    "token_type_ids": attrgetter("type_ids"),
}
"""What transformers calls the parts of an encoding, and where `tokenizers` has them."""

Ids = NDArray[np.int64]


class Tokens:
    """The tokenizer of an exported encoder."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        padding: Padding,
        max_tokens: int,
        spelling: Spelling | None = None,
    ) -> None:
        """`tokenizer` cuts at `max_tokens` by itself, and pads nothing."""
        self._tokenizer = tokenizer
        self._padding = padding
        self._max_tokens = max_tokens
        self._spelling = spelling

    def of(self, texts: Sequence[str]) -> list[Encoding]:
        """The tokens of each text, not padded."""
        # A lone surrogate (an undecodable byte of a command line) is no text for a tokenizer.
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        if self._spelling is not None:
            clean = [self._spelling.corrected(text, self._max_tokens) for text in clean]
        return self._tokenizer.encode_batch(clean)

    def pad(self, encodings: Sequence[Encoding]) -> list[Ids]:
        """The inputs of the text graph, in its order: int64 (n, tokens) each."""
        full = self._padding.to == "max_length"
        # A text may have no token at all, but a graph's input has at least one place.
        length = self._max_tokens if full else max(1, *map(len, encodings))
        inputs = []
        for field, value in self._padding.values.items():
            rows = np.full((len(encodings), length), value, np.int64)
            for row, encoding in zip(rows, encodings, strict=True):
                ids = FIELDS[field](encoding)
                start = length - len(ids) if self._padding.side == "left" else 0
                row[start : start + len(ids)] = ids
            inputs.append(rows)
        return inputs
