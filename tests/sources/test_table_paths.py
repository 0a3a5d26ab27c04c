"""The paths and URIs that a table may name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .conftest import read_items


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).write_bytes(name.encode())


@pytest.mark.parametrize(
    "path", ["../out.png", "/etc/passwd", "d/../../out.png", "file:///etc/passwd", "a\0.png"]
)
def test_a_path_outside_the_tables_folder_is_rejected(tmp_path: Path, path: str) -> None:
    put(tmp_path, "out.png")
    (tmp_path / "set").mkdir()
    write_table(tmp_path / "set/set.jsonl", [{"image": path, "text": "x"}])
    items = read_items(tmp_path / "set/set.jsonl")
    assert list(items.rejects) == [path]


def test_images_outside_the_folder_are_read_with_allow_outside(tmp_path: Path) -> None:
    put(tmp_path, "out.png")
    (tmp_path / "set").mkdir()
    images = ["../out.png", str(tmp_path / "out.png"), "zip://a.png::/x.zip", "../none.png"]
    write_table(tmp_path / "set/set.jsonl", [{"image": image} for image in images])
    rejects = read_items(tmp_path / "set/set.jsonl").rejects
    assert "with `allow_outside`" in rejects["../out.png"]
    items = read_items(tmp_path / "set/set.jsonl", allow_outside=True)
    assert items.ids == images[:2]
    assert items["../out.png"]["uri"] == str(tmp_path / "out.png")
    assert list(items.rejects) == images[2:]


def test_an_absolute_path_within_the_folder_is_read(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    image = str(tmp_path / "a.png")
    write_table(tmp_path / "set.jsonl", [{"image": image, "text": "x"}])
    assert read_items(tmp_path / "set.jsonl").ids == ["a.png"]


def test_uris_in_a_local_table_are_read(tmp_path: Path, memory: Any) -> None:
    memory.pipe("/pics/a.png", b"A")
    images = ["memory://pics/a.png", "memory://pics/no.png", "s3://b/k.png", "zip://x::a.zip"]
    write_table(tmp_path / "set.jsonl", [{"url": image} for image in images])
    items = read_items(tmp_path / "set.jsonl")
    assert items["memory://pics/a.png"]["image"] == b"A"
    assert list(items.rejects) == images[1:]
    assert "pip install s3fs" in items.rejects["s3://b/k.png"]


def test_paths_in_a_table_in_memory_stay_in_its_folder(memory: Any) -> None:
    table = b'image,text\na.png,"one, two"\n../../x.png,x\n/etc/passwd,y\nfile:///etc/passwd,z\n'
    memory.pipe({"/set/t.csv": table, "/set/a.png": b"A"})
    items = read_items("memory://set/t.csv")
    assert items.captions == {"a.png": ["one, two"]}
    assert items["a.png"]["uri"] == "memory:///set/a.png"
    assert len(items.rejects) == 3


def test_a_parquet_in_memory_is_read(memory: Any) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"image": [b"A"], "text": ["one"]}), sink)
    memory.pipe("/set.parquet", sink.getvalue().to_pybytes())
    item = read_items("memory://set.parquet")["row-1"]
    assert (item["image"], item["uri"]) == (b"A", "memory:///set.parquet#row=1")
