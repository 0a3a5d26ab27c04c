"""Fingerprints of models: equal fingerprints mean equal vectors."""

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
"""The settings that change vectors and cannot be derived from the weights. They are listed
explicitly, because each version of transformers writes other, irrelevant settings into a config."""

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
"""Texts whose tokens distinguish tokenizers: cases, spaces, accents, scripts, emoji, truncation."""


def fingerprint(
    weights: Iterable[Path], facts: Any, preprocessing: Preprocessing, text: TextInput
) -> str:
    """Return the fingerprint of a model: 16 hex digits of BLAKE2b (RFC 7693).

    It covers every tensor (name, dtype, shape, bytes), the settings, the preprocessing, the padding
    and maximum length of texts, and the tokenizer: its vocabulary and its tokens for `PROBE_TEXTS`.
    It covers contents instead of files, so that a copy, a model saved or sharded again, and one in
    the hub's cache are the same model.

    Every byte of the weights is hashed, since fine-tunes of one model may differ anywhere. That
    runs at the speed of the disk, or of BLAKE2b (about 1 GB/s per thread) when the files are
    cached: a small part of the time that loading the model takes.

    Args:
        weights: The safetensors files of the model.
        facts: Settings that change vectors, ready for JSON: the result of `config_facts`.
        preprocessing: How images become pixels.
        text: How texts become tokens.
    """
    document = {
        "weights": list(_tensors(weights)),
        "config": facts,
        "preprocessing": asdict(preprocessing),
        "padding": text.padding,
        "max_tokens": text.max_tokens,
        "vocabulary": sorted(text.tokenizer.get_vocab().items()),
        "tokens": [text.tokenize([probe])[0] for probe in PROBE_TEXTS],
        "padded": {field: rows.tolist() for field, rows in _padded(text).items()},
    }
    content = json.dumps(document, sort_keys=True, default=str).encode()
    return blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def _padded(text: TextInput) -> dict[str, torch.Tensor]:
    return text.pad(text.tokenize(PROBE_TEXTS[:2]))


def config_facts(config: Any) -> list[dict[str, Any]]:
    """Return the settings of `CONFIG_FACTS` that a transformers config and its parts have."""
    parts = [config, getattr(config, "text_config", None), getattr(config, "vision_config", None)]
    return [
        {fact: getattr(part, fact) for fact in CONFIG_FACTS if hasattr(part, fact)}
        for part in parts
        if part is not None
    ]


def _tensors(weights: Iterable[Path]) -> Iterator[tuple[str, str, list[int], str]]:
    """Yield name, dtype, shape and digest of each tensor, sorted by name."""
    with ThreadPoolExecutor(HASH_THREADS) as pool:
        entries: list[tuple[str, torch.Tensor, str]] = []
        for path in weights:
            with safe_open(path, framework="pt") as file:
                names = file.keys()
                tensors = [file.get_tensor(name) for name in names]
                entries += zip(names, tensors, pool.map(_digest, tensors), strict=True)
    for name, tensor, digest in sorted(entries, key=lambda entry: entry[0]):
        yield name, str(tensor.dtype), list(tensor.shape), digest


def _digest(tensor: torch.Tensor) -> str:
    content = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return blake2b(content.data, digest_size=TENSOR_DIGEST_BYTES).hexdigest()
