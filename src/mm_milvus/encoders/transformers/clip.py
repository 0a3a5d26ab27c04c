"""Models of the CLIP family, from the hub or a folder, run by transformers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from mm_milvus.encoders.base import DEFAULT_LOGIT_SCALE
from mm_milvus.encoders.snapshot import weight_files
from mm_milvus.encoders.torch.device import best_dtype, torch_device
from mm_milvus.encoders.torch.encoder import ImageTower, TextTower, TorchEncoder, Towers
from mm_milvus.encoders.torch.fingerprint import config_facts, fingerprint
from mm_milvus.encoders.torch.text_input import PADS_TO_MAX_LENGTH, TextInput, max_tokens_of
from mm_milvus.encoders.transformers.pretrained import (
    load_config,
    load_model,
    load_processor,
    load_tokenizer,
    loading,
)
from mm_milvus.encoders.transformers.processor import preprocessing_of
from mm_milvus.errors import EncoderError


def load_clip(
    name: str, folder: Path, *, device: str | None = None, batch_size: int | None = None
) -> TorchEncoder:
    """Load any transformers model that has get_image_features and get_text_features.

    Weights and activations are bfloat16 on a GPU that supports it, else float32.

    Args:
        name: What `load_encoder` was given.
        folder: The folder that `find_model` returned for the name.
        device: As in `load_encoder`.
        batch_size: As in `load_encoder`.

    Raises:
        EncoderError: When the model does not embed images and texts into one space, when
            `load_pixels` cannot do its preprocessing, or when its files are broken.
    """
    with loading(name):
        towers, model = load_towers(name, folder, torch_device(device))
        files = weight_files(folder, name)
        log_scale = _scalar(files, "logit_scale")
        return TorchEncoder(
            name,
            towers,
            fingerprint=fingerprint(
                files, config_facts(model.config), towers.preprocessing, towers.text_input
            ),
            logit_scale=DEFAULT_LOGIT_SCALE if log_scale is None else math.exp(log_scale),
            logit_bias=_scalar(files, "logit_bias"),
            batch_size=batch_size,
        )


def _scalar(files: Sequence[Path], name: str) -> float | None:
    """Return a tensor of one number as saved: in the loaded model it is rounded to its dtype."""
    for path in files:
        with safe_open(path, framework="pt") as weights:
            if name in weights.keys():  # noqa: SIM118
                return float(weights.get_tensor(name))
    return None


class ImageFeatures(nn.Module):
    """The image half of a model of the CLIP family."""

    def __init__(self, model: Any) -> None:
        """Wrap a transformers model that has get_image_features."""
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Map normalised pixels (n, 3, height, width) to (n, dim)."""
        return _rows(self.model.get_image_features(pixel_values=pixels))


class TextFeatures(nn.Module):
    """The text half of a model of the CLIP family."""

    def __init__(self, model: Any) -> None:
        """Wrap a transformers model that has get_text_features."""
        super().__init__()
        self.model = model

    def forward(self, **tokens: Tensor) -> Tensor:
        """Map the tokenizer's inputs, integers (n, tokens) each, to (n, dim)."""
        return _rows(self.model.get_text_features(**tokens))


def _rows(features: Any) -> Tensor:
    """Return the rows (n, dim): a tensor, or part of an output object since transformers 5."""
    rows: Tensor = getattr(features, "pooler_output", features)
    return rows


def load_towers(
    name: str, folder: Path, device: torch.device, dtype: torch.dtype | None = None
) -> tuple[Towers, Any]:
    """Load a model of the CLIP family; call this inside `loading`.

    Args:
        name: What messages call the model.
        folder: The folder of the model.
        device: Where the towers are to run.
        dtype: Of the weights (default: `best_dtype` of the device).

    Returns:
        Its two towers, and the model of transformers itself.

    Raises:
        EncoderError: When it is no such model, or its preprocessing is not supported.
    """
    import transformers

    config = load_config(folder)
    _check_class(name, transformers.MODEL_MAPPING.get(type(config), None))
    model = load_model(transformers.AutoModel, name, folder, dtype or best_dtype(device))
    model = model.to(device)
    preprocessing = preprocessing_of(load_processor(folder), name)
    return Towers(
        image=ImageTower(ImageFeatures(model), preprocessing).to(device),
        text=TextTower(TextFeatures(model)),
        text_input=_text_input(model, load_tokenizer(folder)),
        preprocessing=preprocessing,
    ), model


def _check_class(name: str, model_class: Any) -> None:
    class_name = getattr(model_class, "__name__", "no known class")
    if class_name == "Siglip2Model":
        raise EncoderError(
            f"{name}: NaFlex models, which take images of any shape, are not supported; choose a "
            "SigLIP 2 of fixed size, such as google/siglip2-base-patch16-224"
        )
    if not all(hasattr(model_class, f"get_{kind}_features") for kind in ("image", "text")):
        raise EncoderError(
            f"{name}: this model ({class_name}) does not embed both images and texts; "
            "choose a model of the CLIP or SigLIP family"
        )


def _text_input(model: Any, tokenizer: Any) -> TextInput:
    return TextInput(
        tokenizer=tokenizer,
        padding="max_length" if model.config.model_type in PADS_TO_MAX_LENGTH else "longest",
        max_tokens=max_tokens_of(model, tokenizer),
        accepts=frozenset(inspect.signature(model.get_text_features).parameters),
    )
