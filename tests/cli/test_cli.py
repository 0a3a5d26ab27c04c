"""The command line as a user runs it: real processes, what they print, and their exit codes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import open_dataset


def test_ingest_and_query_print_one_json_object(run, pictures):
    ingested = run("ingest", pictures, "--json")
    assert ingested.returncode == 0, ingested.stderr
    report = json.loads(ingested.stdout)
    assert list(report) == [
        "dataset", "items", "images", "captions", "skipped", "rejected", "pruned",
        "seconds", "images_per_second", "model", "rejects", "rejects_file", "interrupted", "uri",
    ]  # fmt: skip
    assert (report["dataset"], report["items"], report["images"]) == ("pictures", 4, 4)
    assert ingested.stderr == ""

    queried = run("query", "sneakers", "--json", "--top-k", 2, "--gallery", "out.html")
    assert queried.returncode == 0, queried.stderr
    answer = json.loads(queried.stdout)
    assert {key: answer[key] for key in ("query", "dataset", "model")} == {
        "query": "sneakers",
        "dataset": "pictures",
        "model": "compact",
    }
    best, _ = answer["hits"]
    assert list(best) == ["item_id", "uri", "score", "caption", "metadata", "image", "text"]
    assert best["item_id"] == "running-shoe.png"
    assert list(best["image"]) == ["score", "rank"]


def test_without_json_the_output_is_text_and_tables(run, pictures):
    ingested = run("ingest", pictures, "--no-progress")
    assert "4 items read" in ingested.stdout
    assert "--model" in ingested.stdout
    queried = run("query", "--image", pictures / "pizza.png", COLUMNS="120")
    assert queried.returncode == 0
    assert queried.stdout.index("pizza.png") < queried.stdout.index("dog.png")
    assert "pictures" in run("datasets", "list").stdout
    info = run("datasets", "info", "pictures").stdout
    assert "IVF_FLAT" in info
    assert '{"image": 4, "text": 4}' in info
    assert run("datasets", "drop", "pictures", "--yes").stdout == "dropped pictures\n"
    assert run("query", "pizza").returncode == 2


def test_a_text_that_the_encoder_cuts_is_reported_in_one_line(run, pictures, tmp_path):
    (tmp_path / "long").mkdir()
    for name in ("dog", "pizza"):
        shutil.copy(pictures / f"{name}.png", tmp_path / "long")
        (tmp_path / "long" / f"{name}.txt").write_text(f"{name} " * 300)
    line = (
        "mm-milvus: the encoder reads at most 128 tokens of a text: what exceeds them in a longer "
        "text is left out\n"
    )
    assert run("ingest", "long", "--no-progress").stderr == line
    assert run("query", "dog " * 300).stderr == line
    assert run("query", "dog").stderr == ""


def test_datasets_of_another_schema_version_are_listed_and_dropped(run, pictures, tmp_path):
    run("ingest", pictures)
    with Store(tmp_path / "mm_milvus.db") as store:
        collection = open_dataset(store, "pictures").images
        later = {**collection.manifest().to_dict(), "schema_version": 99}
        properties = {"mm_milvus": json.dumps(later)}
        collection.client.alter_collection_properties(collection.name, properties=properties)
    listed = run("datasets", "list")
    assert (listed.returncode, "schema version 99" in listed.stdout) == (0, True)
    assert "99" in run("datasets", "info", "pictures").stdout
    searched = run("query", "pizza")
    assert (searched.returncode, "schema version 99" in searched.stderr) == (1, True)
    assert run("datasets", "drop", "pictures", "--yes").returncode == 0
    assert "no dataset" in run("datasets", "list").stdout


def test_store_token_and_model_can_come_from_the_environment(run, pictures):
    environment = {"MM_MILVUS_URI": "other.db", "MM_MILVUS_MODEL": "compact"}
    report = json.loads(run("ingest", pictures, "--json", **environment).stdout)
    assert report["uri"] == "other.db"
    down = run("query", "a", MM_MILVUS_URI="http://127.0.0.1:1", MM_MILVUS_TOKEN="a:s3cret")
    assert down.returncode == 1
    assert "s3cret" not in down.stdout + down.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ingest", "nowhere"], 2, "nowhere"),
        (["ingest", "empty"], 2, "empty"),
        (["ingest", "notes.csv", "--image-column", "photo"], 2, "photo"),
        (["ingest", "PICTURES", "--model", "no/such-model"], 1, "no/such-model"),
        (["ingest", "PICTURES", "--index", "BTREE"], 2, "BTREE"),
        (["ingest", "PICTURES", "--promote", "price"], 2, "price:double"),
        (["ingest", "PICTURES", "--uri", "http://127.0.0.1:1"], 1, "127.0.0.1:1"),
        (["ingest", "PICTURES", "--uri", "store"], 1, "store.db"),
        (["query", "a"], 1, "mm_milvus.db does not exist"),
        (["query", "--nonsense"], 2, "nonsense"),
        (["datasets", "drop"], 2, "name"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(run, tmp_path, pictures, arguments, code, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.csv").write_text("image,caption\na.png,b\n")
    done = run(*[pictures if argument == "PICTURES" else argument for argument in arguments])
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("mm-milvus: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([""], "the query is empty"),
        ([], "the query is empty"),
        (["a", "--top-k", "0"], "top_k is 0"),
        (["a", "--top-k", "16385"], "16,384"),
        (["a", "--where", "price<<5"], "at character 7"),
        (["a", "--filter", "price <"], "price <"),
        (["a", "--fusion", "best"], "pnorm, max"),
        (["a", "--fusion-weights", "image"], "--fusion-weights has 'image'"),
        (["a", "--rerank", "best"], "unknown rerank stage 'best'"),
        (["a", "--encoders", "clip"], "indexed with compact, not with clip"),
        (["a", "--queries", "nowhere.jsonl"], "give one or the other"),
        (["--queries", "nowhere.jsonl"], "cannot read the queries in nowhere.jsonl"),
        (["a", "--dataset", "nobody"], "pictures"),
        (["--image", "nowhere.png"], "nowhere.png"),
    ],
)
def test_a_bad_query_is_one_line_and_exit_code_2(run, stored, arguments, message):
    done = run("query", "--uri", stored, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


@pytest.fixture(scope="module")
def stored(program, pictures, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("stored") / "store.db"
    subprocess.run([program, "ingest", pictures, "--uri", path], check=True, capture_output=True)
    return path


def test_debug_shows_the_traceback(run):
    assert "Traceback" in run("query", "a", "--debug").stderr


def test_rejects_exit_with_3_and_are_written_to_a_file(run, tmp_path, pictures):
    folder = tmp_path / "mixed"
    shutil.copytree(pictures, folder)
    (folder / "broken.jpg").write_bytes(b"no image")
    done = run("ingest", folder)
    assert done.returncode == 3
    assert "mixed.rejects.jsonl" in done.stdout
    [reject] = map(json.loads, (tmp_path / "mixed.rejects.jsonl").open())
    assert (reject["item_id"], reject["stage"]) == ("broken.jpg", "decode")


def test_ctrl_c_keeps_what_is_encoded_and_the_next_run_continues(run, program, tmp_path, emoji):
    with subprocess.Popen(
        [program, "ingest", emoji, "--batch-size", "4"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        wal = tmp_path / "mm_milvus.db"
        while not any(wal.rglob("*wal*")):
            time.sleep(0.05)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in output
    report = json.loads(run("ingest", emoji, "--json").stdout)
    assert report["items"] == 700
    assert 0 < report["skipped"] < 700
    assert report["skipped"] + report["images"] == 700


def test_an_exported_encoder_is_a_model_like_any_other(run, pictures, tmp_path):
    exported = run("export", "compact", "--format", "torchscript", "--output", "fast", "--json")
    assert exported.returncode == 0, exported.stderr
    report = json.loads(exported.stdout)
    assert list(report) == [
        "folder", "format", "int8", "model", "fingerprint", "dim", "bytes",
        "image_cosine", "text_cosine", "seconds",
    ]  # fmt: skip
    assert (report["model"], report["format"], report["dim"]) == ("compact", "torchscript", 256)
    assert min(report["image_cosine"], report["text_cosine"]) > 0.9999
    ingested = run("ingest", pictures, "--model", "fast", "--json")
    assert json.loads(ingested.stdout)["model"] == str(tmp_path / "fast"), ingested.stderr
    answer = json.loads(run("query", "sneakers", "--json").stdout)
    assert answer["hits"][0]["item_id"] == "running-shoe.png"

    again = run("export", "compact", "--output", "fast")
    assert again.returncode == 1
    assert again.stderr == ("mm-milvus: fast already exists; remove it, or name another folder\n")


def test_verify_reports_problems_and_repairs_them(run, pictures, tmp_path):
    """A copy elsewhere has other URIs: all eight rows are stale."""
    run("ingest", pictures, "--no-progress")
    other = tmp_path / "more" / "pictures"
    shutil.copytree(pictures, other)
    shutil.copy(other / "dog.png", other / "cat.png")
    checked = run("verify", other, "--json", "--sample", 0)
    assert checked.returncode == 1
    report = json.loads(checked.stdout)
    assert (report["healthy"], report["items"]) == (False, 5)
    assert report["problems"] == {"missing": 1, "stale": 8}
    assert report["examples"][0]["where"] == "cat.png"
    repaired = run("verify", other, "--repair", "--no-progress")
    assert repaired.returncode == 0, repaired.stderr
    assert "repair: 1 missing, 8 stale\nhealthy\n" in repaired.stdout


def test_a_repair_writes_its_rejects_to_a_file(run, pictures, tmp_path):
    folder = shutil.copytree(pictures, tmp_path / "some")
    run("ingest", folder, "--no-progress")
    shutil.copy(folder / "dog.png", folder / "cat.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    repaired = run("verify", folder, "--repair", "--sample", 0, "--no-progress")
    assert "some: 5 images" in repaired.stdout, repaired.stderr
    [reject] = map(json.loads, (tmp_path / "some.rejects.jsonl").open())
    assert reject["item_id"] == "broken.jpg"


def test_a_file_of_queries_is_answered_with_one_line_each(run, stored, tmp_path):
    (tmp_path / "queries.jsonl").write_text(
        '"sneakers"\n\n{"text": ["a cat"], "minus": "a dog", "weights": [2]}\n'
    )
    done = run("query", "--uri", stored, "--queries", "queries.jsonl", "--top-k", 1)
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["query"] == {"text": ["sneakers"]}
    assert second["query"] == {"text": ["a cat"], "minus": ["a dog"], "weights": [2]}
    assert len(first["hits"]) == len(second["hits"]) == 1
    (tmp_path / "queries.txt").write_text('fine\n{"video": "a.mp4"}\n', encoding="utf-8-sig")
    done = run("query", "--uri", stored, "--queries", "queries.txt")
    good, bad = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, done.stderr) == (3, "")
    assert (good["query"], bad["line"]) == ({"text": ["fine"]}, 2)
    assert "is no query" in bad["error"]


def test_queries_are_read_from_stdin(program, stored):
    done = subprocess.run(
        [program, "query", "--uri", stored, "--queries", "-", "--top-k", "1"],
        input="sneakers\n",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["query"] == {"text": ["sneakers"]}


def test_an_explanation_is_printed_and_is_json(run, stored):
    done = run("query", "sneakers", "--uri", stored, "--explain", "--rerank", "mmr:0.8", "--json")
    answer = json.loads(done.stdout)
    assert answer["fusion"] == "pnorm"
    assert set(answer["hits"][0]["lists"]) == {"image", "text"}
    assert {"search", "complete", "rerank mmr"} <= set(answer["stages"])
    table = run("query", "sneakers", "--uri", stored, "--explain").stdout
    assert "fusion pnorm" in table
    assert "candidates; encode" in table


def test_rejects_go_where_they_are_asked_to_and_are_counted_by_reason(run, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(b"no picture")
    (folder / "empty.png").touch()
    shown = run("ingest", folder, "--rejects", "out.jsonl")
    assert shown.returncode == 3
    counted = [line for line in shown.stdout.splitlines() if " rejected: " in line]
    assert [line.split()[0] for line in counted] == ["3", "1"]
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4
    silent = run("ingest", folder, "--no-rejects", "--json")
    report = json.loads(silent.stdout)
    assert (silent.returncode, report["rejects_file"], report["interrupted"]) == (3, None, False)
    assert sorted(report["rejects"].values()) == [1, 3]
    assert not list(tmp_path.glob("*.rejects.jsonl"))


@pytest.mark.parametrize("command", [("classify", "--labels", "cat,dog"), ("moderate",)])
def test_commands_that_judge_say_why_their_rejects_are_not_written(run, tmp_path, command):
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "empty.png").touch()
    (tmp_path / "mine.csv").write_text("image,caption\n")
    verb, *options = command
    result = run(verb, "mixed", *options, "--rejects", "mine.csv")
    assert result.returncode == 3
    assert "mine.csv cannot be written: it exists, and holds no rejects" in result.stderr
    assert (tmp_path / "mine.csv").read_text() == "image,caption\n"
