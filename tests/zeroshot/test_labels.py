"""Probabilities of labels: the scale of the model, and the softmax or sigmoid of its training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoModel, AutoProcessor

from mm_milvus.encoders.base import DEFAULT_LOGIT_SCALE
from mm_milvus.encoders.load import load_encoder
from mm_milvus.errors import OptionError
from mm_milvus.images.decoding import load_pixels
from mm_milvus.zeroshot.labels import TEMPLATES, TEXTS_PER_CALL, LabelJudge, label_vectors

LABELS = ["a red dress", "blue jeans", "white sneakers"]

Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def compact():
    return load_encoder("compact")


def pictures() -> list[Image.Image]:
    random = np.random.default_rng(0)
    # The input size of the small models: other tests are about resizing.
    return [Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)) for _ in range(4)]


def spread(model: torch.nn.Module) -> None:
    """Give a model weights that are the same on every machine, and under which labels differ.

    The random numbers of torch are not, and with some of them all labels are alike.
    """
    random = np.random.default_rng(0)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            centre = 1 if "norm" in name.lower() and name.endswith("weight") else 0
            values = random.normal(centre, 0.2, tuple(weights.shape))
            weights.copy_(torch.from_numpy(values))


def png(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "scale", "bias"),
    [("clip", 2.1, None), ("chinese_clip", 3.0, None), ("siglip", 3.0, -3.5)],
)
def test_probabilities_are_those_of_the_model_itself(
    model_folder: Folder, tmp_path: Path, name: str, scale: float, bias: float | None
) -> None:
    model = AutoModel.from_pretrained(model_folder(name)).eval()
    processor = AutoProcessor.from_pretrained(model_folder(name))
    spread(model)
    with torch.no_grad():
        model.logit_scale.fill_(scale)
        if bias is not None:
            model.logit_bias.fill_(bias)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    padding = "max_length" if name == "siglip" else "longest"
    inputs = processor(text=LABELS, images=pictures(), padding=padding, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**inputs).logits_per_image
    expected = logits.softmax(dim=1) if bias is None else logits.sigmoid()

    encoder = load_encoder(str(tmp_path), device="cpu")
    spec = encoder.spec
    assert spec.logit_scale == pytest.approx(np.exp(scale), rel=1e-5)
    assert spec.logit_bias == bias
    pixels = np.stack([load_pixels(png(picture), spec.preprocessing) for picture in pictures()])
    judge = LabelJudge(encoder, LABELS, templates=["{}"])
    probabilities = judge.probabilities(encoder.encode_images(pixels))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected.numpy(), atol=(tolerance := 1e-3))
    # The labels differ enough for the comparison to be meaningful.
    assert probabilities.std(axis=1).min() > 5 * tolerance


def test_the_vector_of_a_label_is_the_mean_over_its_templates(compact) -> None:
    templates = ["a photo of a {}", "{} in {}"]
    [vector] = label_vectors(compact, ["dog {}"], templates)
    texts = compact.encode_texts(["a photo of a dog {}", "dog {} in dog {}"])
    mean = texts.mean(axis=0)
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)


def test_labels_of_several_encoder_calls_keep_their_order(compact) -> None:
    labels = [f"number {number}" for number in range(TEXTS_PER_CALL // len(TEMPLATES) + 7)]
    vectors = label_vectors(compact, labels, TEMPLATES)
    assert vectors.shape == (len(labels), compact.spec.dim)
    np.testing.assert_allclose(vectors[-1:], label_vectors(compact, labels[-1:], TEMPLATES), 1e-5)


def test_an_encoder_without_a_logit_scale_has_that_of_clip(compact) -> None:
    spec = compact.spec
    plain = type(spec)(spec.id, spec.fingerprint, spec.dim, spec.preprocessing, spec.max_tokens)
    assert (plain.logit_scale, plain.logit_bias) == (DEFAULT_LOGIT_SCALE, None)


def test_the_best_labels_come_first_and_ties_in_the_order_given(compact) -> None:
    judge = LabelJudge(compact, ["cat", "dog", "cat ", "", "CAT"], templates=["{}"], top_k=9)
    assert judge.labels == ["cat", "dog", "CAT"]
    rows = judge.rows(["a", "b"], compact.encode_texts(["cat", "dog"])).to_pylist()
    assert [(row["item_id"], row["label"]) for row in rows] == [
        *(("a", label) for label in ("cat", "CAT", "dog")),
        *(("b", label) for label in ("dog", "cat", "CAT")),
    ]
    assert rows[0]["probability"] == rows[1]["probability"] > rows[2]["probability"]


class Sigmoid:
    """The encoder compact with a logit bias, as after a training with a sigmoid."""

    def __init__(self, compact) -> None:
        self.spec = replace(compact.spec, logit_scale=20.0, logit_bias=-10.0)
        self.encode_texts = compact.encode_texts


def test_a_model_with_a_bias_judges_each_label_by_itself(compact) -> None:
    encoder = Sigmoid(compact)
    image = compact.encode_texts(["cat"])
    [[alone]] = LabelJudge(encoder, ["cat"], templates=["{}"]).probabilities(image)
    [[same, other]] = LabelJudge(encoder, ["cat", "dog"], templates=["{}"]).probabilities(image)
    assert alone == pytest.approx(1 / (1 + np.exp(-10)), abs=1e-6)
    assert same == pytest.approx(alone)
    assert other < 0.5


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=6), st.booleans())
@settings(max_examples=50, deadline=None)
def test_probabilities_are_numbers_for_any_logits(logits: list[float], sigmoid: bool) -> None:
    judge = object.__new__(LabelJudge)
    compact = load_encoder("compact")
    judge._spec = replace(compact.spec, logit_scale=1.0, logit_bias=0.0 if sigmoid else None)
    judge._vectors = np.array(logits, np.float32)[:, None]
    [row] = judge.probabilities(np.ones((1, 1), np.float32))
    assert ((row >= 0) & (row <= 1)).all()
    assert sigmoid or row.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([" ", ""], {}, "there is no label"),
        (["dress"], {}, "the only label"),
        (["a", "b"], {"top_k": 0}, "`top_k` is 0"),
        (["a", "b"], {"templates": ["a photo"]}, "has no {}"),
        (["a", "b"], {"templates": []}, "no template"),
    ],
)
def test_unusable_labels_templates_and_top_k_are_rejected(
    compact, labels, options, message
) -> None:
    with pytest.raises(OptionError, match=message):
        LabelJudge(compact, labels, **options)
