"""The files that the package ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer

import mm_milvus.encoders.compact
from mm_milvus.encoders.compact.efficientnet import EfficientNetLite0
from mm_milvus.encoders.compact.encoder import TOKENIZER, WEIGHTS

from .train import Joint


def export(joint: Joint, network: EfficientNetLite0, tokenizer: Tokenizer) -> None:
    """Write weights (halves; token vectors as int8 with a scale a row) and tokenizer."""
    folder = Path(mm_milvus.encoders.compact.__file__).parent
    state = {name: value.numpy() for name, value in joint.state_dict().items()}
    tokens = joint.tokens.numpy()
    scales = np.maximum(np.abs(tokens).max(axis=1), 1e-8) / 127
    weights = {f"image.{name}": value.numpy() for name, value in network.state_dict().items()}
    weights["image.projection.weight"] = state["image.weight"]
    weights["image.projection.bias"] = state["image.bias"]
    for name in ("linear.weight", "hidden.weight", "hidden.bias", "output.weight", "output.bias"):
        weights[f"text.{name}"] = state[name]
    weights = {name: value.astype(np.float16) for name, value in weights.items()}
    weights["text.tokens"] = np.round(tokens / scales[:, None]).astype(np.int8)
    weights["text.scales"] = scales.astype(np.float32)
    save_file(weights, folder / WEIGHTS)
    tokenizer.no_truncation()
    tokenizer.save(str(folder / TOKENIZER), pretty=False)
