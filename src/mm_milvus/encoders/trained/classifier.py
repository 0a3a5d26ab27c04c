"""Image towers: image classifiers, of which the pooled features or the logits are used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, amax, mean, nn

from mm_milvus.choices import LITE0, Features
from mm_milvus.encoders.snapshot import WEIGHTS
from mm_milvus.encoders.torch.efficientnet import EfficientNetLite0
from mm_milvus.encoders.transformers.pretrained import load_model, load_processor
from mm_milvus.encoders.transformers.processor import preprocessing_of
from mm_milvus.images.preprocessing import Preprocessing

MIDDLE = 11
"""Number of blocks of EfficientNet-Lite0 before its last stride: 112 channels."""

LITE0_PREPROCESSING = Preprocessing(
    # Trained at 224. Objects appear smaller in testing than in the crops of the training (Touvron
    # et al., 2019): on the clothing photos a projection over 288 is better by 2 points.
    height=288,
    width=288,
    shortest_edge=None,
    resample="bicubic",
    mean=(127 / 255, 127 / 255, 127 / 255),
    std=(128 / 255, 128 / 255, 128 / 255),
)


class Lite0Features(nn.Module):
    """EfficientNet-Lite0: mean and maximum of its last feature map, and of one half as deep.

    The earlier map keeps texture and colour, which the last one has traded for the classes of its
    training: on the clothing photos the four together are better than the mean of the last map by
    1 to 2 points.
    """

    def __init__(self, network: EfficientNetLite0) -> None:
        """Wrap a network, which is not changed."""
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """Map normalised pixels (n, 3, height, width) to (n, 2784)."""
        network = self.network
        middle = network.blocks[:MIDDLE](network.stem(pixels))
        last = network.head(network.blocks[MIDDLE:](middle))
        pooled = [pool(level, dim=(2, 3)) for level in (last, middle) for pool in (mean, amax)]
        return torch.cat(pooled, dim=1)


class ClassifierFeatures(nn.Module):
    """An image classifier of transformers: its logits, or the features they are computed from."""

    def __init__(self, model: Any, features: Features) -> None:
        """Wrap an AutoModelForImageClassification."""
        super().__init__()
        self.model: Any = model
        self.features = features

    def forward(self, pixels: Tensor) -> Tensor:
        """Map normalised pixels (n, 3, height, width) to (n, dim)."""
        if self.features == "logits":
            logits: Tensor = self.model(pixel_values=pixels).logits
            return logits
        outputs = self.model.base_model(pixel_values=pixels)
        pooled: Tensor | None = getattr(outputs, "pooler_output", None)
        # Vision transformers classify the first state, convolutional networks a pooled map.
        return outputs.last_hidden_state[:, 0] if pooled is None else pooled.flatten(1)


def load_classifier(
    name: str, folder: Path, dtype: torch.dtype, features: Features = "pooled"
) -> tuple[nn.Module, Preprocessing]:
    """Load the image tower in a folder that `save_pretrained` or `save_lite0` wrote.

    Call this inside `loading`.

    Args:
        name: What messages call the model.
        folder: The folder of the model.
        dtype: Of the weights.
        features: Which features of a transformers classifier to use.

    Returns:
        The tower, on the CPU: normalised pixels (n, 3, height, width) to (n, dim); and its
        preprocessing.

    Raises:
        EncoderError: When weights are missing, or the preprocessing is not supported.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") == LITE0:
        return lite0(load_file(folder / WEIGHTS)).to(dtype), LITE0_PREPROCESSING
    import transformers

    model = load_model(transformers.AutoModelForImageClassification, name, folder, dtype)
    return ClassifierFeatures(model, features), preprocessing_of(load_processor(folder), name)


def lite0(weights: dict[str, Tensor]) -> Lite0Features:
    """Build EfficientNet-Lite0 from the weights of `lite0_weights`."""
    network = EfficientNetLite0()
    network.load_state_dict(weights)
    return Lite0Features(network).eval()


def save_lite0(tower: Lite0Features, folder: Path) -> None:
    """Write a new folder that `load_classifier` reads."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": LITE0}) + "\n", encoding="utf-8")
    state = {name: value.float().contiguous() for name, value in tower.network.state_dict().items()}
    save_file(state, folder / WEIGHTS)
