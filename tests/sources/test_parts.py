"""Folders whose items are inside their files: Hugging Face, img2dataset, parts of tables."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_milvus.errors import SourceError
from mm_milvus.sources.open import dataset_name, open_source

from .conftest import read_items

Rows = list[dict[str, Any]]

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def rows_of(*names: str) -> Rows:
    return [
        {"image": {"bytes": name.encode(), "path": f"{name}.png"}, "text": name} for name in names
    ]


def save_to_disk(folder: Path, *parts: Rows, **state: object) -> None:
    """Write a dataset as `datasets.Dataset.save_to_disk` does."""
    folder.mkdir(parents=True)
    names = [f"data-{n:05d}-of-{len(parts):05d}.arrow" for n in range(len(parts))]
    features = {"image": {"_type": "Image"}, "text": {"dtype": "string", "_type": "Value"}}
    schema = pa.schema([("image", IMAGE), ("text", pa.string())])
    schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    for name, rows in zip(names, parts, strict=True):
        with pa.ipc.new_stream(folder / name, schema) as writer:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    files = [{"filename": name} for name in names]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_split": None} | state))


def write_parquet(path: Path, rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def test_a_dataset_that_was_saved_to_disk(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "set", rows_of("a", "b"), rows_of("c"))
    items = read_items(tmp_path / "set")
    assert items.captions == {"a.png": ["a"], "b.png": ["b"], "c.png": ["c"]}
    assert items["c.png"]["image"] == b"c"
    source = open_source(tmp_path / "set")
    assert (source.name, source.size) == ("set", None)  # a stream does not have its rows
    assert dataset_name(tmp_path / "set") == "set"


def test_splits_that_were_saved_to_disk_begin_the_ids(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "train", rows_of("a", "b"))
    save_to_disk(tmp_path / "test", [{"image": {"bytes": b"x"}, "text": "t"}, *rows_of("a")])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    items = read_items(tmp_path)
    assert items.ids == ["train/a.png", "train/b.png", "test/row-1", "test/a.png"]
    assert items["test/a.png"]["metadata"] == {"split": "test"}


def test_a_dataset_in_the_order_of_an_index_is_refused(tmp_path: Path) -> None:
    indices = [{"filename": "indices.arrow"}]
    save_to_disk(tmp_path / "set", rows_of("a"), _indices_data_files=indices)
    with pytest.raises(SourceError, match=r"flatten_indices\(\)"):
        open_source(tmp_path / "set")


def test_a_saved_dataset_that_is_damaged_says_so(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "set", rows_of("a"), rows_of("b"))
    (tmp_path / "set" / "data-00001-of-00002.arrow").write_bytes(b"cut")
    items = read_items(tmp_path / "set")
    assert items.ids == ["a.png"]
    assert "cannot be read" in items.rejects["data-00001-of-00002.arrow"]
    (tmp_path / "set" / "state.json").write_text("{")
    with pytest.raises(SourceError, match=r"state.json cannot be read"):
        open_source(tmp_path / "set")


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["part-2", "part-10", "part-1"], ["row-1", "row-2", "row-3"]),
        (
            ["data/train-00000-of-00002", "data/train-00001-of-00002"],
            ["train/row-1", "train/row-2"],
        ),
        (["train-00000-of-00001-0f3a", "test-00000-of-00001"], ["test/row-1", "train/row-1"]),
        (["default/train/0000", "default/test/0000"], ["test/row-1", "train/row-1"]),
        (["train", "validation"], ["train/row-1", "validation/row-1"]),
        (["train_products", "more_products"], ["row-1", "row-2"]),
        (["laion-00000-of-00001"], ["row-1"]),
    ],
)
def test_parts_of_a_table_are_read_in_the_order_of_their_names(
    tmp_path: Path, names: list[str], ids: list[str]
) -> None:
    for name in names:
        write_parquet(tmp_path / f"{name}.parquet", [{"image": name.encode(), "text": name}])
    (tmp_path / "README.md").write_text("about")
    items = read_items(tmp_path)
    assert items.ids == ids
    assert open_source(tmp_path).size == len(ids)
    if names[0] == "part-2":
        assert [*items.captions.values()] == [["part-1"], ["part-2"], ["part-10"]]


def test_text_tables_of_a_folder_are_parts_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,caption\nhttp://127.0.0.1:1/a.png,a\n")
    (tmp_path / "b.jsonl").write_text('{"caption": "no picture", "image": null}\n')
    items = read_items(tmp_path, retries=0)
    assert items.captions == {"b.jsonl/row-1": ["no picture"]}
    assert list(items.rejects) == ["http://127.0.0.1:1/a.png"]


def test_a_damaged_part_is_a_reject_and_the_others_are_read(tmp_path: Path) -> None:
    write_parquet(tmp_path / "0.parquet", [{"image": b"a", "text": "a"}])
    (tmp_path / "1.parquet").write_bytes(b"PAR1 cut")
    items = read_items(tmp_path)
    assert items.captions == {"row-1": ["a"]}
    assert list(items.rejects) == ["1.parquet"]


def img2dataset_rows(suffix: str) -> Rows:
    base = {"caption": "a cat", "url": "http://127.0.0.1:1/1.jpg", "key": "000000000"}
    return [
        {**base, suffix: b"pixels", "status": "success", "error_message": None},
        {**base, suffix: None, "status": "failed_to_download", "error_message": "HTTP Error 404"},
    ]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_parquet_of_img2dataset(tmp_path: Path, suffix: str) -> None:
    write_parquet(tmp_path / "00000.parquet", img2dataset_rows(suffix))
    (tmp_path / "00000_stats.json").write_text('{"count": 2}')
    items = read_items(tmp_path)
    assert items["row-1"]["image"] == b"pixels"
    assert items.captions == {"row-1": ["a cat"]}
    assert items.rejects == {"row-2": "row 2: img2dataset could not download it: HTTP Error 404"}


def test_shards_and_files_of_img2dataset(tmp_path: Path) -> None:
    members = {"0.jpg": b"pixels", "0.txt": b"a cat", "0.json": b'{"caption": "a cat", "key": "0"}'}
    shards, files = tmp_path / "shards", tmp_path / "files"
    (files / "00000").mkdir(parents=True)
    shards.mkdir()
    with tarfile.open(shards / "00000.tar", "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
            (files / "00000" / name).write_bytes(data)
    for folder in (shards, files):
        rows = [
            {key: value for key, value in row.items() if key != "jpg"}
            for row in img2dataset_rows("jpg")
        ]
        write_parquet(folder / "00000.parquet", rows)
        (folder / "00000_stats.json").write_text('{"count": 2}')
    of_shards, of_files = read_items(shards), read_items(files)
    assert of_shards.captions == {"0": ["a cat"]}
    assert of_files.captions == {"00000/0.jpg": ["a cat"]}
    assert of_shards.rejects == of_files.rejects == {}


def test_what_was_encoded_is_named(tmp_path: Path) -> None:
    row = {
        "item_id": "a",
        "content_hash": "",
        "image_embedding": [1.0],
        "caption_embeddings": [],
        "image": "x",
    }
    write_parquet(tmp_path / "encoded" / "part-00000.parquet", [row])
    with pytest.raises(SourceError, match="read it as `embeddings`"):
        open_source(tmp_path)
    write_parquet(tmp_path / "part-00000.parquet", [{"image": b"a", "text": "a"}])
    items = read_items(tmp_path)
    assert items.ids == ["row-1"]
    assert "read it as `embeddings`" in items.rejects["encoded/part-00000.parquet"]


def test_a_folder_of_other_files_names_what_is_there(tmp_path: Path) -> None:
    for name in ("a.tfrecord", "b.tfrecord", "c.npz", "README"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SourceError, match=r"it has 2 \.tfrecord, 1 \.npz, 1 without a suffix\)"):
        open_source(tmp_path)
    write_parquet(tmp_path / "_part.parquet", [{"image": b"a"}])
    with pytest.raises(SourceError, match="whose names begin with _ are not read"):
        open_source(tmp_path)


@pytest.mark.parametrize("kind", ["tables", "shards"])
def test_a_subfolder_that_cannot_be_listed_is_a_reject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "locked").mkdir()
    if kind == "tables":
        write_parquet(tmp_path / "0.parquet", [{"image": b"a", "text": "a"}])
    else:
        with tarfile.open(tmp_path / "0.tar", "w") as tar:
            info = tarfile.TarInfo("a.png")
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    scan = os.scandir

    def refuse(path: str) -> Any:
        if path.rstrip("/").endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may list every folder
    items = read_items(tmp_path)
    assert len(items.ids) == 1
    assert items.rejects == {"locked": "the folder cannot be read: Permission denied"}


def test_damage_in_one_part_keeps_the_ids_of_the_next(tmp_path: Path) -> None:
    for part in range(2):
        rows = [{"image": b"%d" % n, "text": f"{part} {n}"} for n in range(200)]
        table = pa.Table.from_pylist(rows)
        pq.write_table(table, tmp_path / f"part-{part}.parquet", row_group_size=100)
    whole = read_items(tmp_path).captions
    path = tmp_path / "part-0.parquet"
    group = pq.ParquetFile(path).metadata.row_group(1)
    data = bytearray(path.read_bytes())
    offset = group.column(1).dictionary_page_offset or group.column(1).data_page_offset
    data[offset : offset + 8] = b"\xff" * 8
    path.write_bytes(data)
    damaged = read_items(tmp_path)
    assert damaged.rejects
    assert len(damaged.captions) < len(whole)
    assert damaged.captions.items() <= whole.items()
