"""Equal fingerprints mean equal vectors, wherever the files are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from mm_milvus.encoders.load import load_encoder

Folder = Callable[[str], Path]


def fingerprint_of(folder: Path) -> str:
    return load_encoder(str(folder), device="cpu").spec.fingerprint


@pytest.fixture
def original(model_folder: Folder) -> str:
    return fingerprint_of(model_folder("clip"))


def test_it_is_16_hex_digits(original: str) -> None:
    assert re.fullmatch("[0-9a-f]{16}", original)


def test_a_copy_is_the_same_model(clip_copy: Path, original: str) -> None:
    assert fingerprint_of(clip_copy) == original


@pytest.mark.parametrize("shard", ["5GB", "30KB"])
@pytest.mark.parametrize("architecture", ["clip", "siglip2", "altclip"])
def test_a_model_saved_again_is_the_same_model(
    model_folder: Folder, tmp_path: Path, architecture: str, shard: str
) -> None:
    source = model_folder(architecture)
    AutoModel.from_pretrained(source).save_pretrained(tmp_path, max_shard_size=shard)
    AutoTokenizer.from_pretrained(source).save_pretrained(tmp_path)
    AutoImageProcessor.from_pretrained(source).save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").exists() == (shard == "5GB")
    assert fingerprint_of(tmp_path) == fingerprint_of(source)


def test_another_architecture_is_another_model(model_folder: Folder, original: str) -> None:
    assert fingerprint_of(model_folder("siglip")) != original


def test_a_changed_weight_is_another_model(clip_copy: Path, original: str) -> None:
    tensors = load_file(clip_copy / "model.safetensors")
    tensors["visual_projection.weight"][0, 0] += 1
    save_file(tensors, clip_copy / "model.safetensors", metadata={"format": "pt"})
    assert fingerprint_of(clip_copy) != original


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("preprocessor_config.json", {"image_mean": [0.5, 0.5, 0.5]}),
        ("preprocessor_config.json", {"resample": 2}),
        ("preprocessor_config.json", {"size": {"shortest_edge": 36}}),
        ("tokenizer_config.json", {"model_max_length": 12}),
    ],
)
def test_another_setting_is_another_model(
    clip_copy: Path, original: str, file: str, settings: dict[str, object]
) -> None:
    change(clip_copy / file, settings)
    assert fingerprint_of(clip_copy) != original


def test_another_activation_is_another_model(clip_copy: Path, original: str) -> None:
    config = json.loads((clip_copy / "config.json").read_text())
    config["text_config"]["hidden_act"] = "gelu"
    change(clip_copy / "config.json", config)
    assert fingerprint_of(clip_copy) != original


def change(path: Path, settings: dict[str, object]) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | settings))
