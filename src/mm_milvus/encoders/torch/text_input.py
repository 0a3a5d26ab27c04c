"""From texts to batches of tokens, in the form that each model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mm_milvus.encoders.base import warn_of_cut_texts
from mm_milvus.encoders.spelling import Spelling, clean_texts

PADS_TO_MAX_LENGTH = frozenset({"siglip"})
"""Model types whose text tower was trained on texts padded to the full length: SigLIP and
SigLIP 2 pool the last position and attend to padding, so shorter padding gives other vectors."""


@dataclass(frozen=True, slots=True)
class TextInput:
    """How texts become the input of a text tower.

    Attributes:
        tokenizer: The model's own, of transformers.
        padding: "longest" in the batch, or "max_length".
        max_tokens: Texts are truncated to this number of tokens, special tokens included.
        accepts: Names of the inputs of the text tower; the tokenizer's others are dropped.
        spelling: Corrects texts before they are tokenized, or None.
    """

    tokenizer: Any
    padding: str
    max_tokens: int
    accepts: frozenset[str]
    spelling: Spelling | None = None

    def tokenize(self, texts: Sequence[str], *, warn: bool = False) -> list[dict[str, list[int]]]:
        """Return the tokens of each text by input name, truncated and not padded.

        Args:
            texts: Any texts.
            warn: Warn where one is truncated.
        """
        clean = clean_texts(texts, self.spelling, self.max_tokens)
        table = self.tokenizer(clean, truncation=True, max_length=self.max_tokens)
        if warn:
            warn_of_cut_texts(table.encodings or (), self.max_tokens)
        fields = [field for field in table if field in self.accepts]
        return [{field: table[field][row] for field in fields} for row in range(len(clean))]

    def pad(self, batch: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        """Return the tokens of a batch, of n texts, as a tensor (n, tokens) for each input."""
        table = {field: [tokens[field] for tokens in batch] for field in batch[0]}
        padded = self.tokenizer.pad(
            table, padding=self.padding, max_length=self.max_tokens, return_tensors="pt"
        )
        return {field: padded[field] for field in table}


def token_count(tokens: dict[str, list[int]]) -> int:
    """Return the number of tokens of one text that `TextInput.tokenize` returned."""
    return len(tokens["input_ids"])


def max_tokens_of(model: Any, tokenizer: Any) -> int:
    """Return the number of tokens a model can read: the tokenizer's limit, or the position table's.

    Args:
        model: A transformers model.
        tokenizer: Its tokenizer.
    """
    config = model.config.get_text_config()
    positions: int = config.max_position_embeddings
    if _numbers_positions_after_padding(model):
        # The RoBERTa family gives its first token the position pad_token_id + 1.
        positions -= config.pad_token_id + 1
    return min(positions, int(tokenizer.model_max_length))


def _numbers_positions_after_padding(model: Any) -> bool:
    return any(hasattr(module, "create_position_ids_from_input_ids") for module in model.modules())
