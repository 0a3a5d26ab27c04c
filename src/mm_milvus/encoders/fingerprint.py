"""What a model is, in 16 hex digits: equal fingerprints mean equal vectors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from mm_milvus.encoders.torch.text_input import TextInput
from mm_milvus.images.preprocessing import Preprocessing

DIGEST_BYTES = 8
TENSOR_DIGEST_BYTES = 16
HASH_THREADS = 4

CONFIG_FACTS = (
    "model_type",
    "hidden_act",
    "layer_norm_eps",
    "num_attention_heads",
    "num_key_value_heads",
    "num_hidden_layers",
    "patch_size",
    "projection_dim",
    "projection_size",
    "vision_use_head",
    "eos_token_id",
    "pad_token_id",
)
"""The settings that change vectors and cannot be seen in the weights. They are named one by one,
because each version of transformers writes other settings of no weight into a config."""

PROBE_TEXTS = (
    "",
    "a photo of a Red dress, size 42!",
    "  two   spaces\tand a\nline ",
    "Ünïcödé naïve ＦＵＬＬ",
    "红色的连衣裙",
    "赤いドレス ﾄﾞﾚｽ",
    "красное платье",
    "فستان أحمر",
    "लाल पोशाक",
    "빨간 드레스",
    "👗❤️‍🔥👩🏽‍🚀",
    "long " * 600,
)
"""Texts whose tokens tell tokenizers apart: cases, spaces, accents, scripts, emoji, truncation."""


def fingerprint(
    weights: Iterable[Path], facts: Any, preprocessing: Preprocessing, text: TextInput
) -> str:
    """The fingerprint of a model: 16 hex digits of BLAKE2b (RFC 7693).

    It covers every tensor (name, type, shape, bytes), `facts` (what `config_facts` gives, or other
    settings as JSON has them), the preprocessing, the padding and length of texts, and the
    tokenizer: its vocabulary and what it makes of `PROBE_TEXTS`. It covers contents and not
    files, so a copy, a re-saved or re-sharded model and one in the hub's cache are the same
    model.

    Every byte of the weights is hashed, since fine-tunes of one model may differ anywhere. That
    reads them at the speed of the disk, or of BLAKE2b (near 1 GB/s a thread) when cached: well
    under what loading the same model costs.
    """
    document = {
        "weights": list(_tensors(weights)),
        "config": facts,
        "preprocessing": asdict(preprocessing),
        "padding": text.padding,
        "max_tokens": text.max_tokens,
        "vocabulary": sorted(text.tokenizer.get_vocab().items()),
        "tokens": [text.tokens([probe])[0] for probe in PROBE_TEXTS],
        "padded": {field: rows.tolist() for field, rows in _padded(text).items()},
    }
    content = json.dumps(document, sort_keys=True, default=str).encode()
    return blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def _padded(text: TextInput) -> dict[str, torch.Tensor]:
    return text.pad(text.tokens(PROBE_TEXTS[:2]))


def config_facts(config: Any) -> list[dict[str, Any]]:
    """The settings of `CONFIG_FACTS` that a transformers config and its parts have."""
    parts = [config, getattr(config, "text_config", None), getattr(config, "vision_config", None)]
    return [
        {fact: getattr(part, fact) for fact in CONFIG_FACTS if hasattr(part, fact)}
        for part in parts
        if part is not None
    ]


def _tensors(weights: Iterable[Path]) -> Iterator[tuple[str, str, list[int], str]]:
    """Name, type, shape and digest of each tensor, sorted by name."""
    with ThreadPoolExecutor(HASH_THREADS) as pool:
        found: list[tuple[str, torch.Tensor, str]] = []
        for path in weights:
            with safe_open(path, framework="pt") as file:
                names = file.keys()
                tensors = [file.get_tensor(name) for name in names]
                found += zip(names, tensors, pool.map(_digest, tensors), strict=True)
    for name, tensor, digest in sorted(found, key=lambda row: row[0]):
        yield name, str(tensor.dtype), list(tensor.shape), digest


def _digest(tensor: torch.Tensor) -> str:
    content = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return blake2b(content.data, digest_size=TENSOR_DIGEST_BYTES).hexdigest()
