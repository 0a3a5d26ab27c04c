"""Text towers: sentence models, whose token states are pooled to one vector per text."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from mm_milvus.choices import Pooling
from mm_milvus.encoders.torch.text_input import TextInput, max_tokens_of
from mm_milvus.encoders.transformers.pretrained import load_model, load_tokenizer
from mm_milvus.errors import EncoderError

POOLING_CONFIG = Path("1_Pooling/config.json")
"""Where a sentence-transformers model declares its pooling."""

MODULES = {"Transformer", "Pooling", "Normalize"}
"""The parts of a sentence-transformers model that are supported."""


class SentenceFeatures(nn.Module):
    """A transformer whose last states are pooled: their mean over the text, or the first state."""

    def __init__(self, model: Any, pooling: Pooling) -> None:
        """Wrap a transformers model that has last_hidden_state."""
        super().__init__()
        self.model: Any = model
        self.pooling = pooling

    def forward(self, **tokens: Tensor) -> Tensor:
        """Map the tokenizer's inputs, (n, tokens) each, padded on the right, to (n, dim)."""
        states: Tensor = self.model(**tokens).last_hidden_state
        if self.pooling == "cls":
            return states[:, 0]
        mask = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
        return (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


def load_sentence(
    name: str, folder: Path, dtype: torch.dtype, pooling: Pooling | None = None
) -> tuple[SentenceFeatures, TextInput]:
    """Load the text tower in a folder that transformers or sentence-transformers wrote.

    Call this inside `loading`.

    Args:
        name: What messages call the model.
        folder: The folder of the model.
        dtype: Of the weights.
        pooling: Overrides the pooling that the folder declares (default: the mean).

    Returns:
        The tower, on the CPU, and how texts become its input.

    Raises:
        EncoderError: When the model has parts or a pooling that are not supported.
    """
    import transformers

    _check_modules(name, folder)
    model = load_model(transformers.AutoModel, name, folder, dtype, unused="pooler.")
    tokenizer = load_tokenizer(folder)
    tokenizer.padding_side = "right"
    text_input = TextInput(
        tokenizer=tokenizer,
        padding="longest",
        max_tokens=max_tokens_of(model, tokenizer),
        accepts=frozenset(inspect.signature(model.forward).parameters),
    )
    return SentenceFeatures(model, pooling or _pooling_of(name, folder)), text_input


_MODES: dict[Pooling, str] = {"mean": "mean_tokens", "cls": "cls_token"}


def _pooling_of(name: str, folder: Path) -> Pooling:
    path = folder / POOLING_CONFIG
    if not path.is_file():
        return "mean"
    document = json.loads(path.read_text(encoding="utf-8"))
    modes = {
        key.removeprefix("pooling_mode_")
        for key, value in document.items()
        if key.startswith("pooling_mode_") and value is True
    }
    for pooling in get_args(Pooling):
        if modes == {_MODES[pooling]}:
            return pooling  # type: ignore[no-any-return]
    raise EncoderError(
        f"{name}: it pools {' and '.join(sorted(modes)) or 'in an unknown way'}, and only mean "
        "and cls are supported; choose another text model"
    )


def _check_modules(name: str, folder: Path) -> None:
    path = folder / "modules.json"
    if not path.is_file():
        return
    modules = {part["type"].rpartition(".")[2] for part in json.loads(path.read_text("utf-8"))}
    if unsupported := sorted(modules - MODULES):
        raise EncoderError(
            f"{name}: its part {unsupported[0]} is not supported; choose a text model that is only "
            "a transformer and a pooling"
        )
