"""Rejects: counted by reason, and written to a file whose failure ends no run."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_milvus.cli.runs import rejects_path
from mm_milvus.pipeline.batch import Batch
from mm_milvus.pipeline.report import Report
from mm_milvus.rejects import MAX_REASONS, OTHER_REASONS, Reject, RejectsFile

REJECTS = st.builds(Reject, st.text(), st.just("read"), st.text())


@given(st.lists(st.lists(REJECTS)))
def test_the_counts_by_reason_add_up(batches):
    report = Report(dataset="d", model="m")
    for rejects in batches:
        report.add(Batch(rejects=rejects))
    assert sum(report.rejects.values()) == report.rejected == sum(map(len, batches))
    json.dumps(report.to_dict(), ensure_ascii=False).encode()


def test_reasons_that_all_differ_are_bounded():
    report = Report(dataset="d", model="m")
    words = (f"{chr(97 + n // 676)}{chr(97 + n // 26 % 26)}{chr(97 + n % 26)}" for n in range(5000))
    report.add(Batch(rejects=[Reject("x", "read", word) for word in words]))
    assert len(report.rejects) == MAX_REASONS + 1
    assert report.rejects[OTHER_REASONS] == 5000 - MAX_REASONS


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("has {size:,} bytes, over the limit of 9,000", "has N bytes, over the limit of N"),
        (
            "row {n}: the image is missing from the folder",
            "the image is missing from the folder",
        ),
        ("row {n} of 20{n}/part-{n}.csv: it is damaged", "it is damaged"),
        (
            "row {n} of a{n}.csv repeats the id {n} of row {size} of b{n}.csv: the first is kept",
            "row N of … repeats the id N of row N of …: the first is kept",
        ),
        ("row {n}: the image path ../up/{n}.png leads out", "the image path … leads out"),
        ("caption {n}: caption is {size} bytes long", "caption N: caption is N bytes long"),
        ("my photo {n}.txt is not valid UTF-8 (byte {n})", "… is not valid UTF-8 (byte N)"),
        (
            "b.png is a further image of the key my photo {n}: it is kept",
            "… is a further image of the key …: it is kept",
        ),
        (
            'metadata key price is promoted to double and is "{n} €"',
            "metadata key price is promoted to double and is …",
        ),
        ("its vector has the length {n}.5e-07, not 1", "its vector has the length N, not N"),
        ("the key sku-{n} in shard-{n}.tar repeats", "the key … in … repeats"),
        ("the server answers 404 Not Found", "the server answers 404 Not Found"),
        ("is an array of uint8", "is an array of uint8"),
    ],
)
def test_reasons_of_one_kind_are_one(reason, kind):
    rejects = [
        Reject(f"in/my photo {n}.png", "read", reason.format(n=n, size=n * 1000))
        for n in (11, 12345)
    ]
    if "sku-" in reason:
        rejects = [Reject(f"sku-{n}", "read", reason.format(n=n)) for n in (11, 12345)]
    assert {reject.kind for reject in rejects} == {kind}


NAMES = [
    "a/b",
    "a_b",
    "CON",
    "aux.x",
    "..",
    "",
    ".x",
    "a:b",
    "a*",
    "n" * 999,
    "n" * 998,
    "é" * 300,
    "x\udcff",
    "\n",
]


def test_names_of_rejects_files_are_safe_and_distinct():
    files = [rejects_path(name).name for name in NAMES]
    assert len(set(files)) == len(NAMES)
    for file in files:
        assert len(file.encode()) <= 255
        assert not set(file) & set('<>:"/\\|?*\n')
        assert not file.startswith(".")
        assert file.split(".")[0].lower() not in {"con", "aux"}
    assert rejects_path("Flickr8k") == Path("Flickr8k.rejects.jsonl")


def unwritable_paths(folder: Path) -> list[Path]:
    (folder / "file").write_text("")
    return [
        folder,
        folder / "file" / "x",
        folder / "none" / "x",
        folder / ("n" * 300),
        Path("a\0b"),
        Path("/proc/x"),
    ]


def test_a_file_that_cannot_be_written_is_no_error(tmp_path):
    for path in unwritable_paths(tmp_path):
        with closing(RejectsFile(path)) as file:
            file.write([Reject("i", "read", "bad")] * 3)
        assert file.failure is not None, path
        assert "\n" not in file.failure


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_noticed_while_writing_and_devices_stay():
    with closing(RejectsFile("/dev/full")) as file:
        file.write([])
        assert file.failure is None
        file.write([Reject("i", "read", "bad")])
        assert "No space left" in file.failure
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize(
    "content", ["image,caption\n", "{}\n", '{"item_id": 1}\n', "\x00\xff", "[1]"]
)
def test_a_file_that_holds_no_rejects_is_left_alone(tmp_path, content):
    path = tmp_path / "photos.csv"
    path.write_text(content)
    file = RejectsFile(path)
    file.write([Reject("a", "read", "no")])
    file.close()
    assert path.read_text() == content
    assert "holds no rejects" in file.failure


def test_the_file_of_the_previous_run_is_replaced(tmp_path):
    path = tmp_path / "set.rejects.jsonl"
    for name in ("a", "b"):
        file = RejectsFile(path)
        file.write([Reject(name, "read", "no")])
        file.close()
        assert [json.loads(line)["item_id"] for line in path.open()] == [name]
    RejectsFile(path).close()
    assert not path.exists()
