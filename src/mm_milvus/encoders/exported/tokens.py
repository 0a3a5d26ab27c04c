"""From texts to the inputs of a text graph, with the `tokenizers` library and numpy."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from mm_milvus.encoders.base import warn_of_cut_texts
from mm_milvus.encoders.exported.config import Padding
from mm_milvus.encoders.spelling import Spelling, clean_texts

FIELDS = {
    "input_ids": attrgetter("ids"),
    "attention_mask": attrgetter("attention_mask"),
    "token_type_ids": attrgetter("type_ids"),
}
"""The inputs of a text tower as transformers names them, and where an `Encoding` holds them."""

TokenIds = NDArray[np.int64]


class GraphTokenizer:
    """The tokenizer of an exported encoder."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        padding: Padding,
        max_tokens: int,
        spelling: Spelling | None = None,
    ) -> None:
        """Wrap a tokenizer.

        Args:
            tokenizer: Truncates to `max_tokens`, and does not pad.
            padding: How the texts of a batch are padded.
            max_tokens: Maximum number of tokens of a text, special tokens included.
            spelling: Corrects texts before they are tokenized, or None.
        """
        self._tokenizer = tokenizer
        self._padding = padding
        self._max_tokens = max_tokens
        self._spelling = spelling

    def tokenize(self, texts: Sequence[str], *, warn: bool = False) -> list[Encoding]:
        """Return the tokens of each text, truncated and not padded.

        Args:
            texts: Any texts.
            warn: Warn where one is truncated.
        """
        clean = clean_texts(texts, self._spelling, self._max_tokens)
        encodings = self._tokenizer.encode_batch(clean)
        if warn:
            warn_of_cut_texts(encodings, self._max_tokens)
        return encodings

    def pad(self, encodings: Sequence[Encoding]) -> list[TokenIds]:
        """Return the inputs of the text graph for n texts, in its order: int64 (n, tokens) each."""
        pads_to_max = self._padding.to == "max_length"
        # A text may have no token at all, but the input of a graph has at least one column.
        length = self._max_tokens if pads_to_max else max(1, *map(len, encodings))
        inputs = []
        for field, value in self._padding.values.items():
            rows = np.full((len(encodings), length), value, np.int64)
            for row, encoding in zip(rows, encodings, strict=True):
                ids = FIELDS[field](encoding)
                start = length - len(ids) if self._padding.side == "left" else 0
                row[start : start + len(ids)] = ids
            inputs.append(rows)
        return inputs
