"""Vectors of models of the CLIP family equal those of transformers' own pipeline."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor, BertConfig, BertModel
from vectors import cosines

from languages import RED_DRESS
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import load_encoder
from mm_milvus.errors import EncoderError, OptionError
from mm_milvus.images.decoding import load_pixels

ARCHITECTURES = ["clip", "siglip", "siglip2", "chinese_clip", "altclip"]
TEXTS = [
    "a photo of a red dress",
    "",
    "blue",
    "an evening gown with long sleeves " * 40,
    "👗❤️‍🔥 and 👟",
    "  spaces\tand\nlines  ",
    "a photo of a red dress",
    "A Photo Of A Red Dress",
    *RED_DRESS.values(),
]

Folder = Callable[[str], Path]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def pair(request: pytest.FixtureRequest, model_folder: Folder) -> tuple[Encoder, Path]:
    folder = model_folder(request.param)
    return load_encoder(str(folder), device="cpu"), folder


def unit(features: object) -> np.ndarray:
    return torch.nn.functional.normalize(features.pooler_output.float(), dim=-1).numpy()


def their_texts(folder: Path, texts: list[str], max_tokens: int) -> np.ndarray:
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(folder)
    siglip = model.config.model_type == "siglip"
    inputs = processor(
        text=texts,
        padding="max_length" if siglip else "longest",
        max_length=max_tokens,
        truncation=True,
        return_tensors="pt",
    )
    with torch.inference_mode():
        return unit(model.get_text_features(**inputs))


def their_images(folder: Path, files: list[bytes]) -> np.ndarray:
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    images = [Image.open(BytesIO(file)) for file in files]
    inputs = AutoProcessor.from_pretrained(folder)(images=images, return_tensors="pt")
    with torch.inference_mode():
        return unit(model.get_image_features(**inputs))


def test_texts_equal_the_pipeline_of_transformers(pair: tuple[Encoder, Path]) -> None:
    encoder, folder = pair
    ours = encoder.encode_texts(TEXTS)
    theirs = their_texts(folder, TEXTS, encoder.spec.max_tokens)
    assert cosines(ours, theirs).min() >= 0.999
    # The texts differ enough for the comparison to mean something.
    assert (ours[0] @ ours[2], ours[0] @ ours[3]) < (0.99, 0.99)


def test_a_vector_does_not_depend_on_the_rest_of_the_batch(pair: tuple[Encoder, Path]) -> None:
    encoder, _ = pair
    alone = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
    assert cosines(encoder.encode_texts(TEXTS), alone).min() >= 0.9999


def test_images_equal_the_pipeline_of_transformers(
    pair: tuple[Encoder, Path], image_files: list[bytes]
) -> None:
    encoder, folder = pair
    pixels = [load_pixels(file, encoder.spec.preprocessing, exact=True) for file in image_files]
    ours = encoder.encode_images(np.stack(pixels))
    assert cosines(ours, their_images(folder, image_files)).min() >= 0.999
    assert ours[0] @ ours[1] < 0.999


def test_rows_are_float32_of_unit_length(pair: tuple[Encoder, Path]) -> None:
    encoder, _ = pair
    height, width = encoder.spec.preprocessing.height, encoder.spec.preprocessing.width
    pixels = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    for vectors in (encoder.encode_images(pixels), encoder.encode_texts(["a", "b", "c"])):
        assert vectors.shape == (3, encoder.spec.dim)
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_empty_input_gives_empty_output(pair: tuple[Encoder, Path]) -> None:
    encoder, _ = pair
    height, width = encoder.spec.preprocessing.height, encoder.spec.preprocessing.width
    empty = np.empty((0, height, width, 3), np.uint8)
    assert encoder.encode_images(empty).shape == (0, encoder.spec.dim)
    assert encoder.encode_texts([]).shape == (0, encoder.spec.dim)


def test_texts_keep_their_order_across_batches(model_folder: Folder) -> None:
    texts = ["word " * length for length in random.Random(0).choices(range(18), k=50)]
    single, batched = (
        load_encoder(str(model_folder("clip")), device="cpu", batch_size=size) for size in (1, 7)
    )
    np.testing.assert_allclose(single.encode_texts(texts), batched.encode_texts(texts), atol=1e-5)


def test_a_text_with_a_lone_surrogate_has_a_vector(model_folder: Folder) -> None:
    encoder = load_encoder(str(model_folder("clip")), device="cpu")
    np.testing.assert_array_equal(
        encoder.encode_texts(["red \udcff dress"]), encoder.encode_texts(["red ? dress"])
    )


@pytest.mark.parametrize(
    ("architecture", "max_tokens"),
    # The tokenizer's limit, or the position table's where that is shorter; XLM-RoBERTa loses
    # two positions to its padding token.
    [("clip", 20), ("siglip", 16), ("siglip2", 16), ("chinese_clip", 52), ("altclip", 32)],
)
def test_texts_are_truncated_to_the_limit_of_the_model(
    model_folder: Folder, architecture: str, max_tokens: int
) -> None:
    encoder = load_encoder(str(model_folder(architecture)), device="cpu")
    assert encoder.spec.max_tokens == max_tokens


def test_preprocessing_is_read_from_the_model(model_folder: Folder) -> None:
    chinese = load_encoder(str(model_folder("chinese_clip")), device="cpu").spec.preprocessing
    assert (chinese.height, chinese.width, chinese.shortest_edge) == (32, 32, 36)
    assert chinese.resample == "bicubic"
    assert chinese.mean == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    assert chinese.std == pytest.approx((0.26862954, 0.26130258, 0.27577711))
    siglip2 = load_encoder(str(model_folder("siglip2")), device="cpu").spec.preprocessing
    assert (siglip2.shortest_edge, siglip2.resample) == (None, "bilinear")
    assert (siglip2.mean, siglip2.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_a_processor_without_normalisation_is_supported(
    clip_copy: Path, image_files: list[bytes]
) -> None:
    change(clip_copy / "preprocessor_config.json", do_normalize=False, rescale_factor=1 / 127.5)
    encoder = load_encoder(str(clip_copy), device="cpu")
    pixels = [load_pixels(file, encoder.spec.preprocessing, exact=True) for file in image_files]
    ours = encoder.encode_images(np.stack(pixels))
    assert cosines(ours, their_images(clip_copy, image_files)).min() >= 0.999


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"do_resize": False}, "do_resize is false"),
        ({"do_center_crop": False}, "crops to {}"),
        ({"do_pad": True}, "do_pad is true"),
        ({"size": {"height": 40, "width": 40}}, "then crops to"),
        ({"size": {"shortest_edge": 32, "longest_edge": 64}}, "longest_edge"),
        ({"crop_size": {"height": 64, "width": 64}}, "crops to"),
    ],
)
def test_preprocessing_that_is_not_supported_is_rejected(
    clip_copy: Path, settings: dict[str, object], reason: str
) -> None:
    change(clip_copy / "preprocessor_config.json", **settings)
    with pytest.raises(EncoderError, match="preprocessing is not supported") as error:
        load_encoder(str(clip_copy), device="cpu")
    assert reason in str(error.value)


def test_pixels_of_another_shape_are_rejected(model_folder: Folder) -> None:
    encoder = load_encoder(str(model_folder("clip")), device="cpu")
    with pytest.raises(EncoderError, match=r"must be uint8 \(n, 32, 32, 3\)"):
        encoder.encode_images(np.zeros((1, 64, 64, 3), np.uint8))


def test_a_text_only_model_is_rejected(tmp_path: Path) -> None:
    config = BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match=r"BertModel\) does not embed both images and texts"):
        load_encoder(str(tmp_path), device="cpu")


def test_a_naflex_model_is_rejected(clip_copy: Path) -> None:
    change(clip_copy / "config.json", model_type="siglip2")
    with pytest.raises(EncoderError, match="NaFlex"):
        load_encoder(str(clip_copy), device="cpu")


def test_a_model_with_missing_weights_is_rejected(clip_copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(clip_copy / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, clip_copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"lack 1 tensors .*visual_projection\.weight"):
        load_encoder(str(clip_copy), device="cpu")


def test_a_device_that_does_not_exist_is_rejected(model_folder: Folder) -> None:
    with pytest.raises(EncoderError, match="the device warp cannot be used here"):
        load_encoder(str(model_folder("clip")), device="warp")


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_size_below_one_is_rejected(model_folder: Folder, batch_size: int) -> None:
    with pytest.raises(OptionError, match="must be at least 1"):
        load_encoder(str(model_folder("clip")), device="cpu", batch_size=batch_size)


def change(path: Path, **settings: object) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | settings))
