"""Texts to batches of tokens, as each model was trained to read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mm_milvus.encoders.spelling import Spelling

PADS_TO_MAX_LENGTH = frozenset({"siglip"})
"""Model types whose text tower was trained on texts padded to the full length: SigLIP and
SigLIP 2 pool the last position and attend to padding, so shorter padding gives other vectors."""


@dataclass(frozen=True, slots=True)
class TextInput:
    """How texts become the input of a text tower.

    tokenizer   the model's own
    padding     "longest" in the batch, or "max_length"
    max_tokens  where texts are cut, special tokens included
    accepts     the inputs that the text tower takes; others that the tokenizer makes are left out
    spelling    corrects texts before they become tokens
    """

    tokenizer: Any
    padding: str
    max_tokens: int
    accepts: frozenset[str]
    spelling: Spelling | None = None

    def tokens(self, texts: Sequence[str]) -> list[dict[str, list[int]]]:
        """The tokens of each text, cut to `max_tokens` and not padded."""
        # A lone surrogate (an undecodable byte of a command line) is no text for a tokenizer.
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        if self.spelling is not None:
            clean = [self.spelling.corrected(text, self.max_tokens) for text in clean]
        table = self.tokenizer(clean, truncation=True, max_length=self.max_tokens)
        fields = [field for field in table if field in self.accepts]
        return [{field: table[field][row] for field in fields} for row in range(len(clean))]

    def pad(self, batch: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        """One tensor a field, (n, tokens), of `tokens` padded to the same length."""
        table = {field: [row[field] for row in batch] for field in batch[0]}
        padded = self.tokenizer.pad(
            table, padding=self.padding, max_length=self.max_tokens, return_tensors="pt"
        )
        return {field: padded[field] for field in table}


def token_count(tokens: dict[str, list[int]]) -> int:
    """How many tokens one text of `TextInput.tokens` has."""
    return len(tokens["input_ids"])


def max_tokens_of(model: Any, tokenizer: Any) -> int:
    """The longest text the model can read: the tokenizer's limit, within the position table."""
    config = model.config.get_text_config()
    positions: int = config.max_position_embeddings
    if _numbers_positions_after_padding(model):
        # The RoBERTa family gives its first token the position pad_token_id + 1.
        positions -= config.pad_token_id + 1
    return min(positions, int(tokenizer.model_max_length))


def _numbers_positions_after_padding(model: Any) -> bool:
    return any(hasattr(module, "create_position_ids_from_input_ids") for module in model.modules())
