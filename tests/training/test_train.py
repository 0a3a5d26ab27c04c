"""Training, from a folder of pictures to an encoder."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import mm_milvus.training.loop
from mm_milvus.encoders.load import load_encoder
from mm_milvus.errors import EncoderError, OptionError, OutputError, SourceError
from mm_milvus.images.decoding import load_pixels
from mm_milvus.sources.options import SourceOptions
from mm_milvus.training.options import TrainOptions
from mm_milvus.training.train import train

COLOURS = {"red": (220, 30, 30), "green": (20, 180, 40), "blue": (30, 40, 220), "grey": (128,) * 3}
IN_FOLDERS = SourceOptions(caption_from_folder="a {} square")


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """Write twelve noisy squares of each colour, in one folder per colour."""
    noise = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        folder = tmp_path / "squares" / name
        folder.mkdir(parents=True)
        for number in range(12):
            pixels = np.clip(colour + noise.normal(0, 25, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "squares"


@pytest.fixture
def options(model_folder: Callable[[str], Path]) -> TrainOptions:
    return TrainOptions(
        text_model=str(model_folder("sentence")),
        image_model=str(model_folder("vit")),
        dim=16,
        hidden=0,
        dropout=0.1,
        views=2,
        epochs=6,
        batch_size=16,
        learning_rate=1e-2,
        held_out=(0.25, 0.2),
    )


def accuracy(encoder, folder: Path) -> float:
    texts = encoder.encode_texts([f"a {name} square" for name in COLOURS])
    is_right = []
    for number, name in enumerate(COLOURS):
        for path in sorted((folder / name).iterdir()):
            pixels = load_pixels(path.read_bytes(), encoder.spec.preprocessing)
            is_right.append((encoder.encode_images(pixels[None]) @ texts.T).argmax() == number)
    return float(np.mean(is_right))


@pytest.mark.parametrize("hidden", [0, 24])
def test_a_training_learns_colours_and_writes_an_encoder(squares, options, hidden):
    options = replace(options, hidden=hidden)
    report = train(squares, "model", source_options=IN_FOLDERS, options=options)
    assert report.items["training"] > report.items["validation"] > 0 < report.items["test"]
    assert sum(report.items.values()) == 48
    assert report.epochs == 6
    assert report.validation["image_to_text_recall@1"] > 0.8
    assert report.test["image_to_text_recall@1"] > 0.8
    encoder = load_encoder("model")
    assert encoder.spec.dim == 16
    assert accuracy(encoder, squares) > 0.8
    curves = Path("model/training/curves.csv").read_text().splitlines()
    assert len(curves) == 7
    with Image.open("model/training/curves.png") as picture:
        assert picture.width > 800
    card = Path("model/README.md").read_text()
    assert f"{report.validation['mean_recall']:.4f}" in card
    assert "seed: 0" in card


def test_a_moved_model_needs_neither_its_towers_nor_its_training_files(squares, options, tmp_path):
    train(squares, "model", source_options=IN_FOLDERS, options=options)
    before = load_encoder("model").spec.fingerprint
    moved = tmp_path / "moved"
    Path("model").rename(moved)
    for path in sorted((moved / "training").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert load_encoder(str(moved)).spec.fingerprint == before


def test_weights_depend_on_the_seed_alone(squares, options):
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(squares, name, source_options=IN_FOLDERS, options=replace(options, seed=seed))
        weights.append(load_file(f"{name}/projection.safetensors"))
    for name, values in weights[0].items():
        np.testing.assert_array_equal(values, weights[1][name])
    assert any((values != weights[2][name]).any() for name, values in weights[0].items())


def test_ctrl_c_keeps_the_last_epoch_and_the_best_model(squares, options, monkeypatch):
    real = mm_milvus.training.loop.Loop.judge
    calls = []

    def judge(self, pairs):
        calls.append(pairs)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(self, pairs)

    monkeypatch.setattr(mm_milvus.training.loop.Loop, "judge", judge)
    options = replace(options, held_out=(0.25, 0.0))
    stopped = train(squares, "model", source_options=IN_FOLDERS, options=options)
    assert stopped.interrupted
    assert stopped.epochs == 3
    assert load_encoder("model").spec.dim == 16
    other = replace(options, seed=9)
    with pytest.raises(OptionError, match="another seed"):
        train(squares, "model", source_options=IN_FOLDERS, options=other, resume=True)


def test_a_resumed_training_equals_an_uninterrupted_one(squares, options, monkeypatch):
    train(squares, "whole", source_options=IN_FOLDERS, options=options)
    real = mm_milvus.training.loop.Loop._epoch

    def epoch(self, number):
        if number == 3:
            raise KeyboardInterrupt
        return real(self, number)

    with monkeypatch.context() as patched:
        patched.setattr(mm_milvus.training.loop.Loop, "_epoch", epoch)
        assert train(squares, "parts", source_options=IN_FOLDERS, options=options).epochs == 3
    with pytest.raises(OutputError, match=r"\(`resume`\)"):
        train(squares, "parts", source_options=IN_FOLDERS, options=options)
    report = train(squares, "parts", source_options=IN_FOLDERS, options=options, resume=True)
    assert report.epochs == 6
    whole, parts = (load_file(f"{name}/projection.safetensors") for name in ("whole", "parts"))
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name])
    assert (
        Path("whole/training/curves.csv").read_text()
        == Path("parts/training/curves.csv").read_text()
    )


def test_bad_items_are_rejected_and_left_out(squares, options):
    (squares / "red" / "broken.png").write_bytes(b"not a picture")
    report = train(
        squares,
        "model",
        source_options=IN_FOLDERS,
        options=options,
        rejects="squares.rejects.jsonl",
    )
    assert report.rejected == 1
    [line] = Path("squares.rejects.jsonl").read_text().splitlines()
    assert json.loads(line)["item_id"] == "red/broken.png"
    assert json.loads(line)["stage"] == "decode"


def test_another_validation_dataset_leaves_all_items_for_training(squares, options):
    report = train(squares, "model", validation=squares, source_options=IN_FOLDERS, options=options)
    assert report.items == {"training": 48, "validation": 48, "test": 0}
    assert report.test == {}


def test_documents_of_several_fields_and_relevance(tmp_path, squares, options):
    words = random.Random(0)
    rows = []
    for path in sorted(squares.rglob("*.png")):
        row = {"image": str(path), "caption": f"{path.parent.name} {words.choice('abc')}"}
        row |= {"title": f"a {path.parent.name} thing", "clicks": words.randint(0, 9)}
        if path.stem == "3":
            del row["title"]
        rows.append(row)
    rows[0]["clicks"] = -1
    rows[1]["clicks"] = "many"
    table = tmp_path / "pairs.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = replace(options, document={"image": 0.5, "title": 0.5}, relevance="clicks")
    report = train(table, "model", options=options, rejects="pairs.rejects.jsonl")
    assert report.rejected == 2
    assert "clicks" in Path("pairs.rejects.jsonl").read_text()
    assert report.validation["text_to_image_recall@10"] > 0.5


def test_both_towers_of_a_clip_model(squares, options, model_folder):
    options = replace(options, clip=str(model_folder("clip")))
    report = train(squares, "model", source_options=IN_FOLDERS, options=options)
    assert report.validation["image_to_text_recall@1"] > 0.8
    assert accuracy(load_encoder("model"), squares) > 0.8


@pytest.mark.parametrize("micro_batch", [None, 5])
def test_a_clip_model_is_trained_whole(squares, options, model_folder, micro_batch):
    clip = str(model_folder("clip"))
    options = replace(
        options, clip=clip, unfreeze=True, micro_batch=micro_batch, checkpointing=True, epochs=8,
        learning_rate=3e-3,
    )  # fmt: skip
    report = train(squares, "model", source_options=IN_FOLDERS, options=options)
    assert report.validation["image_to_text_recall@1"] > 0.6
    before, after = load_encoder(clip), load_encoder("model")
    assert before.spec.preprocessing == after.spec.preprocessing
    assert before.spec.fingerprint != after.spec.fingerprint
    assert after.spec.logit_scale == pytest.approx(1 / options.temperature, rel=1e-4)
    assert accuracy(after, squares) > accuracy(before, squares)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"epochs": 0}, "`epochs` is 0"),
        ({"temperature": 0.0}, "temperature"),
        ({"held_out": (0.6, 0.5)}, "held_out"),
        ({"document": {"image": -1.0}}, "document"),
        ({"captions": "two"}, "one or all"),
        ({"pooling": "max"}, "mean or cls"),
        ({"unfreeze": True}, r"\(`clip`\)"),
    ],
)
def test_unusable_options_are_rejected(options, change, reason):
    with pytest.raises(OptionError, match=reason):
        replace(options, **change)


def test_a_folder_with_other_files_is_rejected(squares, options):
    Path("model").mkdir()
    Path("model/thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"not empty \(thesis.txt\)"):
        train(squares, "model", source_options=IN_FOLDERS, options=options)


def test_a_single_item_is_rejected(tmp_path, options):
    (tmp_path / "one").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "one" / "a.png")
    (tmp_path / "one" / "a.txt").write_text("black")
    with pytest.raises(SourceError, match="to train on"):
        train(tmp_path / "one", "model", options=options)


def test_a_model_with_a_broken_projection_is_rejected(squares, options):
    train(squares, "model", source_options=IN_FOLDERS, options=options)
    Path("model/projection.safetensors").write_bytes(b"")
    with pytest.raises(EncoderError, match=r"projection.safetensors is missing or broken"):
        load_encoder("model")
    Path("model/mm_milvus.json").write_text("{")
    with pytest.raises(EncoderError, match=r"mm_milvus.json is broken"):
        load_encoder("model")
