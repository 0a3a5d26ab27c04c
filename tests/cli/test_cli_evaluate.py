"""mm-milvus evaluate, as a user runs it."""

from __future__ import annotations

import json
import shutil

import pytest


@pytest.fixture(scope="module")
def pictures(emoji, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "pictures"
    folder.mkdir()
    for name in ("dress", "pizza", "dog", "running-shoe"):
        shutil.copy(emoji / "images" / f"{name}.png", folder)
        (folder / f"{name}.txt").write_text(f"{name.replace('-', ' ')}\nsomething\n")
    return folder


def test_evaluate_prints_writes_and_compares(run, pictures, tmp_path):
    assert run("ingest", pictures, "--json").returncode == 0
    evaluated = run("evaluate", "--json", "--output", "first", "--k", 1, "--k", 2)
    assert evaluated.returncode == 0, evaluated.stderr
    assert evaluated.stderr == ""
    answer = json.loads(evaluated.stdout)
    assert (answer["dataset"], answer["items"], answer["captions"]) == ("pictures", 4, 8)
    kinds = [
        tuple(run_[key] for key in ("direction", "fusion", "index")) for run_ in answer["runs"]
    ]
    assert kinds == [
        (direction, None, index)
        for direction in ("text_to_image", "image_to_text", "text_to_text")
        for index in ("IVF_FLAT", "exact")
    ]
    first = answer["runs"][0]
    assert first["encoder"] == "compact"
    assert list(first["metrics"]) == list(first["intervals"])
    assert {"recall@1", "precision@2", "ndcg@2", "mrr", "map", "median_rank"} <= set(
        first["metrics"]
    )
    page = (tmp_path / "first" / "report.html").read_text()
    assert "Text to image" in page
    assert "<svg" in page
    assert "http" not in page.replace("http-equiv", "")

    (tmp_path / "queries.jsonl").write_text('{"query_id": 1, "text": "sneakers"}\n')
    (tmp_path / "qrels.txt").write_text("1 0 running-shoe.png 1\n")
    judged = run(
        *("evaluate", "pictures", "--queries", "queries.jsonl", "--qrels", "qrels.txt"),
        *("--fusion", "max", "--fusion", "rrf", "--output", "second"),
    )
    assert judged.returncode == 0, judged.stderr
    assert "text to item max    IVF_FLAT 1 1.000" in " ".join(judged.stdout.split(" "))

    files = [f"second/runs/text_to_item-{mode}-exact.jsonl" for mode in ("max", "rrf")]
    compared = run("evaluate", "--compare", *files)
    assert compared.returncode == 0, compared.stderr
    assert "no significant difference on ndcg@10" in compared.stdout
    compared = json.loads(run("evaluate", "--compare", *files, "--json").stdout)
    assert compared["comparisons"][0]["differences"][0]["better"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compare", "nowhere", "elsewhere"], "nowhere holds no evaluation"),
        (["--queries", "queries.jsonl"], "--qrels"),
        (["--fusion", "best"], "unknown fusion 'best'"),
        (["--k", "0"], "must be 1 or more"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(run, arguments, message):
    refused = run("evaluate", *arguments)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1
