"""Writes the files that the package ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save

import mm_milvus.encoders.compact
from mm_milvus.encoders.compact.encoder import TOKENIZER, WEIGHTS, WORDS

from .joint import Joint


def export(joint: Joint, words: list[str]) -> None:
    """Write weights (float16; tokens as int8 with one scale per row), tokenizer and words."""
    folder = Path(mm_milvus.encoders.compact.__file__).parent
    state = {name: value.contiguous().numpy() for name, value in joint.state_dict().items()}
    tokens = joint.tokens.numpy()
    scales = np.maximum(np.abs(tokens).max(axis=1), 1e-8) / 127
    weights = {
        f"image.{name.removeprefix('network.')}": value
        for name, value in state.items()
        if name.startswith("network.")
    }
    weights["image.projection.weight"] = state["image.weight"]
    weights["image.projection.bias"] = state["image.bias"]
    for name in ("linear.weight", "hidden.weight", "hidden.bias", "output.weight", "output.bias"):
        weights[f"text.{name}"] = state[name]
    weights = {name: np.ascontiguousarray(value, np.float16) for name, value in weights.items()}
    weights["text.tokens"] = np.round(tokens / scales[:, None]).astype(np.int8)
    weights["text.scales"] = scales.astype(np.float32)
    joint.tokenizer.save(str(folder / f"{TOKENIZER}.new"), pretty=False)
    (folder / f"{WEIGHTS}.new").write_bytes(save(weights))
    (folder / f"{WORDS}.new").write_text("\n".join(words) + "\n", encoding="ascii")
    for name in (TOKENIZER, WEIGHTS, WORDS):
        (folder / f"{name}.new").replace(folder / name)
