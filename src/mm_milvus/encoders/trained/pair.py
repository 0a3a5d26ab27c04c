"""A pair of towers whose features share no vector space, on which a projection is trained."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mm_milvus.choices import LITE0, MINILM, Features, Pooling
from mm_milvus.encoders.snapshot import MODEL_FILES, find_model, weight_files
from mm_milvus.encoders.torch.device import CPU_BATCH, best_dtype
from mm_milvus.encoders.torch.efficientnet import CPU_PIECE
from mm_milvus.encoders.torch.fingerprint import config_facts, fingerprint
from mm_milvus.encoders.torch.text_input import TextInput
from mm_milvus.encoders.trained.classifier import (
    LITE0_PREPROCESSING,
    ClassifierFeatures,
    Lite0Features,
    lite0,
    load_classifier,
    save_lite0,
)
from mm_milvus.encoders.trained.packaged import lite0_weights, minilm_folder
from mm_milvus.encoders.trained.sentence import load_sentence
from mm_milvus.encoders.transformers.clip import load_towers
from mm_milvus.encoders.transformers.pretrained import loading
from mm_milvus.images.preprocessing import Preprocessing

CLIP, TEXT, IMAGE = "clip", "text", "image"
"""The subfolders that hold the towers: one for both towers of a CLIP model, or one for each."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two towers on one device.

    Attributes:
        image: Maps normalised pixels (n, 3, height, width) to features (n, image dim).
        text: Maps the tokenizer's inputs, (n, tokens) each, to features (n, text dim).
        text_input: How texts become tokens.
        preprocessing: How images become pixels.
        settings: Arguments of `separate_pair`, ready for JSON: pooling, features.
        facts: Settings in the towers' configs that change their features.
        folders: Where the files of the towers are, by subfolder of a saved pair.
        cpu_piece: Images per call of the image tower that are fastest on a CPU core.
    """

    image: nn.Module
    text: nn.Module
    text_input: TextInput
    preprocessing: Preprocessing
    settings: dict[str, Any]
    facts: list[Any]
    folders: Mapping[str, Path]
    cpu_piece: int = CPU_BATCH

    @property
    def fingerprint(self) -> str:
        """16 hex digits; equal fingerprints mean equal features."""
        return fingerprint(
            [path for part in self.folders.values() for path in weight_files(part, str(part))],
            [self.settings, *self.facts],
            self.preprocessing,
            self.text_input,
        )

    def save(self, folder: Path) -> None:
        """Write the towers into new subfolders of a folder."""
        for part, source in self.folders.items():
            (folder / part).mkdir()
            for pattern in (*MODEL_FILES, "*/config.json"):
                for path in source.glob(pattern):
                    target = folder / part / path.relative_to(source)
                    target.parent.mkdir(exist_ok=True)
                    shutil.copy(path, target)
        if isinstance(self.image, Lite0Features):
            save_lite0(self.image, folder / IMAGE)


def clip_pair(name: str, folder: Path, device: torch.device) -> Pair:
    """Load both towers of a model of the CLIP family.

    Args:
        name: What messages call the model.
        folder: The folder that `find_model` returned for it.
        device: Where the towers are to run.

    Raises:
        EncoderError: When the model cannot be loaded, or is not of the CLIP family.
    """
    with loading(name):
        towers, model = load_towers(name, folder, device)
    return Pair(
        image=towers.image.features,
        text=towers.text.features,
        text_input=towers.text_input,
        preprocessing=towers.preprocessing,
        settings={},
        facts=config_facts(model.config),
        folders={CLIP: folder},
    )


def separate_pair(
    text_model: str,
    image_model: str,
    device: torch.device,
    *,
    pooling: Pooling | None = None,
    features: Features = "pooled",
) -> Pair:
    """Load a sentence model and an image classifier.

    Args:
        text_model: "all-minilm-l6-v2" from its package, a folder, or an id on the hub.
        image_model: "efficientnet-lite0" from its package, a folder, or an id on the hub.
        device: Where the towers are to run.
        pooling: Of the text model's token states (default: what the model declares).
        features: Of an image: "pooled", the input of the classifier's last layer, or "logits".

    Raises:
        EncoderError: When a model does not exist, cannot be loaded or is not supported.
        MissingExtraError: When the package of a packaged model is not installed.
    """
    text_folder = minilm_folder() if text_model == MINILM else find_model(text_model)
    image_folder = None if image_model == LITE0 else find_model(image_model)
    dtype = best_dtype(device)
    with loading(text_model):
        text, text_input = load_sentence(text_model, text_folder, dtype, pooling)
    with loading(image_model):
        image: nn.Module
        if image_folder is None:
            image, preprocessing = lite0(lite0_weights()).to(dtype), LITE0_PREPROCESSING
        else:
            image, preprocessing = load_classifier(image_model, image_folder, dtype, features)
    parts = {TEXT: text_folder, IMAGE: image_folder}
    models = [text.model, *([image.model] if isinstance(image, ClassifierFeatures) else [])]
    return Pair(
        image=image.to(device),
        text=text.to(device),
        text_input=text_input,
        preprocessing=preprocessing,
        settings={"pooling": text.pooling, "features": features},
        # The class's name is part of the fingerprint: renaming it would change saved models.
        facts=[type(image).__name__, *(config_facts(model.config) for model in models)],
        folders={part: folder for part, folder in parts.items() if folder is not None},
        cpu_piece=CPU_PIECE if isinstance(image, Lite0Features) else CPU_BATCH,
    )


def load_pair(folder: Path, settings: Mapping[str, Any], device: torch.device) -> Pair:
    """Load a pair that `Pair.save` wrote.

    Args:
        folder: The folder of the saved pair.
        settings: The `Pair.settings` that it had.
        device: Where the towers are to run.

    Raises:
        EncoderError: When its files are missing or broken.
    """
    if (folder / CLIP).is_dir():
        return clip_pair(str(folder / CLIP), folder / CLIP, device)
    return separate_pair(str(folder / TEXT), str(folder / IMAGE), device, **settings)
