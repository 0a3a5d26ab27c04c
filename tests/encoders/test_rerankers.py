"""Scores of rerankers equal those of transformers' own calls."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BlipForImageTextRetrieval,
    pipeline,
)

from mm_milvus.errors import EncoderError, OptionError
from mm_milvus.rerankers import CaptionReranker, ImageReranker, load_reranker

QUERY = "a red dress"
CAPTIONS = [
    "an evening gown with long sleeves",
    "a red dress",
    "blue jeans and white sneakers, size 42 " * 20,
    "a red dress",
    "👗 red",
    "красное платье",
]

Folder = Callable[[str], Path]


def pictures() -> list[Image.Image]:
    random = np.random.default_rng(0)
    sizes = [(32, 32), (50, 31), (20, 64)]
    colours = [Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)) for size in sizes]
    return [*colours, colours[0].convert("L"), colours[1].convert("RGBA")]


def test_scores_of_captions_equal_the_pipeline_of_transformers(model_folder: Folder) -> None:
    folder = model_folder("cross_encoder")
    reranker = load_reranker(str(folder), device="cpu", batch_size=3)
    assert isinstance(reranker, CaptionReranker)
    assert (reranker.id, reranker.needs) == (str(folder), "captions")
    tokenizer = AutoTokenizer.from_pretrained(folder, model_max_length=48)
    model = str(folder)
    theirs = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    pairs = [{"text": QUERY, "text_pair": caption} for caption in CAPTIONS]
    expected = [
        theirs(pair, function_to_apply="sigmoid", truncation=True)["score"] for pair in pairs
    ]
    ours = reranker.scores(QUERY, CAPTIONS)
    assert (ours.dtype, ours.shape) == (np.float32, (len(CAPTIONS),))
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert ours[1] == pytest.approx(ours[3])
    # The captions differ enough for the comparison to mean something.
    assert ours.std() > 1e-2
    assert ((ours > 0) & (ours < 1)).all()


def test_scores_of_images_equal_the_model_of_transformers(model_folder: Folder) -> None:
    folder = model_folder("blip")
    reranker = load_reranker(str(folder), device="cpu", batch_size=2)
    assert isinstance(reranker, ImageReranker)
    assert (reranker.id, reranker.needs) == (str(folder), "images")
    model = BlipForImageTextRetrieval.from_pretrained(folder).eval()
    images = [picture.convert("RGB") for picture in pictures()]
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    inputs = processor(images=images, return_tensors="pt")
    tokens = AutoTokenizer.from_pretrained(folder)([QUERY] * len(images), return_tensors="pt")
    with torch.inference_mode():
        theirs = model(**inputs, **tokens).itm_score.softmax(dim=1)[:, 1]
    ours = reranker.scores(QUERY, pictures())
    assert (ours.dtype, ours.shape) == (np.float32, (len(images),))
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
    assert ours.std() > 1e-3
    assert np.abs(ours - reranker.scores("blue jeans", pictures())).max() > 1e-3


@pytest.mark.parametrize(("name", "document"), [("cross_encoder", "red"), ("blip", pictures()[0])])
def test_any_query_and_any_number_of_documents(
    model_folder: Folder, name: str, document: object
) -> None:
    reranker = load_reranker(str(model_folder(name)), device="cpu")
    assert reranker.scores(QUERY, []).shape == (0,)
    for query in ("", "long " * 400, "\udcff", "👗"):
        [score] = reranker.scores(query, [document])
        assert 0 <= score <= 1


def test_other_models_are_rejected_and_a_reranker_is_named(
    model_folder: Folder, tmp_path: Path
) -> None:
    with pytest.raises(
        EncoderError, match=r"not a reranker \(CLIPModel\); choose .*cross-encoder/"
    ):
        load_reranker(str(model_folder("clip")))
    config = BertConfig(
        hidden_size=32, num_attention_heads=4, num_hidden_layers=1, vocab_size=9, num_labels=3
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match="into 3 classes"):
        load_reranker(str(tmp_path))
    with pytest.raises(OptionError, match="`batch_size` is 0"):
        load_reranker(str(tmp_path), batch_size=0)


def test_an_incomplete_model_is_a_one_line_error(
    model_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(model_folder("cross_encoder"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(EncoderError, match=r"lack \d+ tensors"):
        load_reranker(str(folder))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="no safetensors weights"):
        load_reranker(str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match=r"not a folder here.*HF_HUB_OFFLINE") as error:
        load_reranker("cross-encoder/ms-marco-MiniLM-L-6-v2")
    assert "\n" not in str(error.value)
