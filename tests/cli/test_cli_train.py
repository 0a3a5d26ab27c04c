"""mm-milvus train, and ingest and query with its model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COLOURS = {"red": (220, 30, 30), "blue": (30, 40, 220), "white": (240, 240, 240)}


@pytest.fixture(scope="module")
def squares(tmp_path_factory) -> Path:
    """Eight noisy squares of each colour, in one folder per colour."""
    root = tmp_path_factory.mktemp("data") / "squares"
    noise = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(8):
            pixels = np.clip(colour + noise.normal(0, 25, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def train(run, squares, model_folder):
    """Train on the squares, with small towers."""
    towers = ["--text-model", model_folder("sentence"), "--image-model", model_folder("vit")]
    learning = ["--epochs", 4, "--batch-size", 8, "--dim", 16, "--learning-rate", 0.01]

    def train(*arguments: object):
        source = [squares, "--caption-from-folder", "a {} square"]
        return run("train", *source, "--output", "model", *towers, *learning, *arguments)

    return train


def test_a_trained_model_works_with_ingest_and_query(run, train, squares, tmp_path):
    done = train("--validation", squares, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["items"] == {"training": 24, "validation": 24, "test": 0}
    assert report["validation"]["image_to_text_recall@1"] > 0.6
    assert "best" in done.stderr
    ingested = run("ingest", squares, "--model", "model", "--json")
    assert ingested.returncode == 0, ingested.stderr
    assert json.loads(ingested.stdout)["model"] == str(tmp_path / "model")
    hits = json.loads(run("query", "a red square", "--json").stdout)["hits"]
    assert hits[0]["item_id"].startswith("red/")


def test_an_existing_training_is_not_overwritten(train):
    first = train("--no-progress")
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert "to use it: mm-milvus ingest PATH --model model" in first.stdout
    again = train()
    assert again.returncode == 1
    assert again.stderr == (
        "mm-milvus: model holds a training: continue it (--resume), or name another folder\n"
    )
    assert train("--resume", "--no-progress").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--document", "image"], "write NAME=WEIGHT"),
        (["--epochs", "0"], "--epochs is 0"),
        (["--unfreeze"], "name it (--clip)"),
        (["--clip", "no/such-model"], "no/such-model"),
        (["--relevance", "clicks"], "0 items with captions are left"),
    ],
)
def test_an_error_is_one_line(train, arguments, message):
    done = train(*arguments)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
