"""mm-milvus items: what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import pty
import subprocess

import pytest


@pytest.fixture
def ingested(run, pictures):
    run("ingest", pictures)


def lines(done) -> list[dict[str, object]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.usefixtures("ingested")
def test_list_prints_pages(run):
    first = lines(run("items", "list", "pictures", "--limit", 3, "--json"))
    assert [*first[0]] == ["item_id", "uri", "captions", "metadata"]
    after = first[-1]["item_id"]
    second = lines(run("items", "list", "pictures", "--limit", 3, "--json", "--after", after))
    assert len({item["item_id"] for item in first + second}) == 4
    shown = run("items", "list", "pictures", "--limit", 3, COLUMNS="120")
    assert first[0]["item_id"] in shown.stdout
    assert f"--after {after!r}" in shown.stderr
    rest = run("items", "list", "pictures", "--limit", 3, "--after", after)
    assert rest.stderr == ""
    assert "no items" in run("items", "list", "pictures", "--caption-has", "zebra").stdout


@pytest.mark.usefixtures("ingested")
def test_get_prints_items_by_argument_and_by_file(run, tmp_path):
    [dress] = lines(run("items", "get", "pictures", "dress.png", "--json"))
    assert dress["captions"] == ["dress"]
    assert dress["uri"].endswith("dress.png")
    (tmp_path / "ids.txt").write_bytes("\ufeffdog.png\r\n\npizza.png\n".encode())
    named = lines(
        run("items", "get", "pictures", "--ids-file", "ids.txt", "--columns", "item_id", "--json")
    )
    assert named == [{"item_id": "dog.png"}, {"item_id": "pizza.png"}]
    missing = run("items", "get", "pictures", "nobody", "dog.png", "--json")
    assert missing.returncode == 1
    assert json.loads(missing.stdout)["item_id"] == "dog.png"
    assert missing.stderr == "mm-milvus: dataset 'pictures' has no item 'nobody'\n"


def test_a_caption_cannot_control_the_terminal(run, tmp_path):
    row = {"id": "x", "image": None, "caption": "red \x1b[2J\u202edress"}
    (tmp_path / "evil.jsonl").write_text(json.dumps(row))
    assert "1 captions" in run("ingest", "evil.jsonl").stdout
    shown = run("items", "list", "evil", COLUMNS="120").stdout
    assert "red \\u001b[2J\\u202edress" in shown


@pytest.mark.usefixtures("ingested")
def test_count_prints_a_number(run):
    assert run("items", "count", "pictures").stdout == "4\n"
    done = run("items", "count", "pictures", "--caption-has", "o", "--json")
    assert json.loads(done.stdout) == {"dataset": "pictures", "count": 2}


@pytest.mark.usefixtures("ingested")
def test_delete_asks_on_a_terminal_and_needs_yes_elsewhere(run, program, tmp_path):
    refused = run("items", "delete", "pictures", "dog.png")
    assert refused.returncode == 2
    assert refused.stderr.rstrip().endswith("add --yes")
    assert run("datasets", "drop", "pictures").returncode == 2
    assert run("items", "delete", "pictures", "--yes").returncode == 2
    for answer, expected in (("n", "4\n"), ("y", "3\n")):
        ours, theirs = pty.openpty()
        os.write(ours, f"{answer}\n".encode())
        subprocess.run(
            [program, "items", "delete", "pictures", "dog.png"],
            cwd=tmp_path,
            stdin=theirs,
            capture_output=True,
            timeout=120,
        )
        os.close(ours)
        os.close(theirs)
        assert run("items", "count", "pictures").stdout == expected
    done = run("items", "delete", "pictures", "--caption-has", "pizza", "--yes", "--json")
    assert json.loads(done.stdout) == {"dataset": "pictures", "deleted": 1}
    assert "2 images, 2 captions" in run("datasets", "list").stdout


@pytest.mark.usefixtures("ingested")
def test_an_export_moves_to_another_store_without_encoding(run, pictures):
    done = run("items", "export", "pictures", "--to", "out.parquet", "--vectors", "--json")
    assert json.loads(done.stdout) == {"dataset": "pictures", "items": 4, "file": "out.parquet"}
    moved = run("ingest", "out.parquet", "--embeddings", "--uri", "other.db")
    assert moved.returncode == 0, moved.stderr
    first, second = (
        lines(run("items", "list", "pictures", "--json", "--uri", uri))
        for uri in ("mm_milvus.db", "other.db")
    )
    assert first == second
    again = run("ingest", pictures, "--uri", "other.db", "--json")
    assert json.loads(again.stdout)["skipped"] == 4


@pytest.mark.usefixtures("ingested")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["get", "pictures"], "name the items: ID..., or --ids-file FILE"),
        (["get", "pictures", "x", "--ids-file", "x"], "give one or the other"),
        (["get", "pictures", "--ids-file", "no.txt"], "cannot read the ids in no.txt"),
        (["list", "pictures", "--where", "price"], "expected an operator"),
        (["list", "pictures", "--after", "nobody"], "to continue after (--after)"),
        (["list", "other"], "no dataset 'other'"),
        (["export", "pictures", "--to", "x.xlsx"], "name a local file that ends in .parquet"),
        (["export", "pictures", "--to", "x.csv", "--vectors", "--columns", "uri"], "--columns"),
        (["delete", "pictures", "x", "--caption-has", "dog", "--yes"], "one or the other"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run, arguments, reason):
    done = run("items", *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
