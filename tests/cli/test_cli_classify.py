"""classify and moderate, as a user runs them."""

from __future__ import annotations

import json
import shutil

import pytest


@pytest.fixture
def pictures(emoji, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("dress", "pizza", "running-shoe"):
        shutil.copy(emoji / "images" / f"{name}.png", folder)
    return folder


def test_classify_prints_one_json_object(run, pictures, tmp_path):
    (tmp_path / "labels.txt").write_text("shoes, boots\n\npizza\n")
    (pictures / "broken.jpg").write_bytes(b"no image")
    done = run("classify", pictures, "--labels", "@labels.txt", "--labels", "dress,cat", "--json")
    assert done.returncode == 3, done.stderr
    answer = json.loads(done.stdout)
    assert list(answer) == [
        "source", "model", "items", "images", "rejected", "seconds", "images_per_second",
        "rejects", "rejects_file", "interrupted",
        "output", "dataset", "labels", "predictions",
    ]  # fmt: skip
    assert answer["labels"] == {"shoes, boots": 1, "pizza": 1, "dress": 1, "cat": 0}
    assert [row["label"] for row in answer["predictions"]] == ["dress", "pizza", "shoes, boots"]
    assert list(answer["predictions"][0]) == ["item_id", "label", "probability"]


def test_the_table_of_one_image_shows_its_best_labels(run, pictures):
    done = run("classify", pictures / "dress.png", "--labels", "dress,cat,pizza", "-k", 2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("dress.png") == 1
    assert done.stdout.index("dress ") < done.stdout.index("1 image judged")


def test_classify_writes_a_file_and_says_so(run, pictures, tmp_path):
    done = run("classify", pictures, "--labels", "dress,pizza", "--output", "out.csv",
               "--template", "a {}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "out.csv" in done.stdout
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "item_id,label,probability"
    assert lines[1].startswith("dress.png,dress,0.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["classify", "pictures"], "labels"),
        (["classify", "pictures", "--labels", "dress"], "only label"),
        (["classify", "pictures", "--labels", "@none.txt"], "none.txt"),
        (["classify", "nowhere", "--labels", "a,b"], "nowhere"),
        (["classify", "pictures", "--labels", "a,b", "--template", "x"], "{}"),
        (["classify", "pictures", "--labels", "a,b", "--output", "x.txt"], "x.txt"),
        (["moderate", "pictures", "--policy", "none.toml"], "none.toml"),
        (["moderate", "pictures", "--threshold", "7"], "from 0 to 1"),
    ],
)
@pytest.mark.usefixtures("pictures")
def test_wrong_usage_is_one_line_and_exit_code_2(run, arguments, message):
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_moderate_shows_flagged_images(run, pictures, tmp_path):
    (tmp_path / "policy.toml").write_text(
        'safe = ["clothes", "an animal"]\n[categories.food]\nunsafe = ["a pizza"]'
    )
    done = run("moderate", pictures, "--policy", "policy.toml", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["images"], answer["flagged"], answer["categories"]) == (3, 1, {"food": 1})
    [flag] = answer["flags"]
    assert (flag["item_id"], flag["category"], flag["flagged"]) == ("pizza.png", "food", True)
    table = run("moderate", pictures, "--policy", "policy.toml").stdout
    assert "flagged: 1 of 3 images (food 1)" in table
    assert "--model" in table
