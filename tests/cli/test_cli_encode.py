"""mm-milvus encode, and ingest --embeddings: what they print, and their exit codes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest


@pytest.fixture
def pictures(pictures, tmp_path) -> Path:
    """A copy, for a test to change and to name from where the program runs."""
    return shutil.copytree(pictures, tmp_path / "pictures")


def test_encode_then_ingest_then_query(run, pictures):
    encoded = run("encode", pictures, "--output", "encoded", "--json")
    assert encoded.returncode == 0, encoded.stderr
    report = json.loads(encoded.stdout)
    assert list(report) == [
        "dataset", "items", "images", "captions", "skipped", "rejected", "pruned",
        "seconds", "images_per_second", "model",
        "rejects", "rejects_file", "interrupted", "output", "parts",
    ]  # fmt: skip
    assert (report["images"], report["captions"], report["parts"]) == (4, 4, 1)
    assert encoded.stderr == ""

    stored = run("ingest", "encoded", "--embeddings", "--json")
    assert stored.returncode == 0, stored.stderr
    report = json.loads(stored.stdout)
    assert (report["dataset"], report["images"], report["model"]) == ("pictures", 4, "compact")
    queried = run("query", "sneakers", "--json", "--top-k", 1)
    [best] = json.loads(queried.stdout)["hits"]
    assert best["item_id"] == "running-shoe.png"
    assert json.loads(run("ingest", pictures, "--json").stdout)["skipped"] == 4


def test_the_text_output_names_the_next_command(run, pictures):
    encoded = run("encode", pictures, "--output", "encoded")
    assert "4 items read" in encoded.stdout
    assert "mm-milvus ingest encoded --embeddings" in encoded.stdout
    assert "encoded 0 images" in run("encode", pictures, "--output", "encoded").stdout
    assert "read it as --embeddings" in run("ingest", "encoded").stderr
    stored = run("ingest", "encoded", "--embeddings")
    assert "stored 4 images and 4 captions" in stored.stdout
    assert "--model" not in stored.stdout


def test_rejects_exit_with_3_and_are_written_to_a_file(run, tmp_path, pictures):
    (pictures / "broken.jpg").write_bytes(b"no image")
    done = run("encode", pictures, "--output", "encoded")
    assert done.returncode == 3
    assert "encoded/rejects.jsonl" in done.stdout
    [reject] = map(json.loads, (tmp_path / "encoded" / "rejects.jsonl").open())
    assert (reject["item_id"], reject["stage"]) == ("broken.jpg", "decode")
    assert run("ingest", "encoded", "--embeddings").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["encode", "nowhere", "--output", "encoded"], 2, "nowhere"),
        (["encode", "pictures"], 2, "--output"),
        (["encode", "pictures", "--output", "s3://bucket/a"], 2, "s3://bucket/a"),
        (["encode", "pictures", "--output", "encoded", "--limit", "0"], 2, "--limit is 0"),
        (["encode", "pictures", "--output", "pictures/dog.png"], 1, "dog.png cannot be written"),
        (["ingest", "nowhere", "--embeddings"], 2, "nowhere"),
        (["ingest", "pictures", "--embeddings"], 2, "mm-milvus encode"),
        (["ingest", "pictures", "--embeddings", "--model", "compact"], 2, "--model"),
        (["ingest", "pictures", "--embeddings", "--id-column", "id"], 2, "--id-column"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(run, pictures, arguments, code, message):
    assert pictures.is_dir()
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("mm-milvus: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_ctrl_c_keeps_what_is_encoded_and_the_next_run_continues(run, program, tmp_path, emoji):
    with subprocess.Popen(
        [program, "encode", emoji, "--output", "encoded", "--batch-size", "4"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        while not (tmp_path / "encoded").exists():
            time.sleep(0.05)
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in output
    report = json.loads(run("encode", emoji, "--output", "encoded", "--json").stdout)
    assert report["items"] == 700
    assert 0 < report["skipped"] < 700
    assert report["skipped"] + report["images"] == 700
