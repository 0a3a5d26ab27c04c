"""Damaged files never end a run, and are always reported."""

from __future__ import annotations

import io
import json
import random
import tarfile
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from mm_milvus.errors import SourceError
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions

from .conftest import read_items


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('image,text\na.png,"open\nb.png,two\n', "t.csv:2-3 is not CSV: unexpected end of data"),
        ('image,text\na.png,"open\nb.png,"ok"\n', "t.csv:2-3 is not CSV: ',' expected after '\"'"),
    ],
)
def test_a_quote_that_is_not_closed_does_not_swallow_rows(
    tmp_path: Path, text: str, reason: str
) -> None:
    put(tmp_path, "a.png", "b.png")
    (tmp_path / "t.csv").write_text(text)
    items = read_items(tmp_path / "t.csv")
    hint = "if quotes are part of the texts, read it with `no_quoting`"
    assert (items.ids, items.rejects) == ([], {"row-1": f"{reason}; {hint}"})


def test_a_csv_that_is_not_utf8_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,größe\na.png,x\n", encoding="latin-1")
    with pytest.raises(SourceError, match=r"is not UTF-8: name its `encoding`"):
        open_source(tmp_path / "t.csv")


def test_a_column_without_a_name_is_named_by_its_position(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "t.csv").write_text(",image\n7,a.png\n")
    assert read_items(tmp_path / "t.csv")["a.png"]["metadata"] == {"column_1": 7}


@pytest.mark.parametrize("field", ["text", "m"])
@pytest.mark.parametrize("depth", [700, 900, 5000])
def test_json_that_is_nested_too_deeply_rejects_only_its_row(
    tmp_path: Path, field: str, depth: int
) -> None:
    put(tmp_path, "a.png", "b.png")
    nested = "[" * depth + "1" + "]" * depth
    lines = [f'{{"image": "a.png", "{field}": {nested}}}', '{"image": "b.png"}']
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    items = read_items(tmp_path / "t.jsonl", image_column="image")
    assert (items.ids, len(items.rejects)) == (["b.png"], 1)


def test_a_number_too_large_for_a_float_can_be_a_caption(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "t.jsonl").write_text(f'{{"image": "a.png", "text": 1{"0" * 400}}}')
    assert read_items(tmp_path / "t.jsonl").captions == {"a.png": ["1" + "0" * 400]}


def test_a_value_that_is_no_id_is_rejected(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    lines = [f'{{"image": "a.png", "id": {value}}}' for value in ("NaN", "[1]", '" "', "null", "7")]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    rows = read_items(tmp_path / "t.jsonl", id_column="id").rows
    assert [row["rejected"] for row in rows[:4]] == [
        f"row {n} has no id in id" for n in range(1, 5)
    ]
    assert (rows[4]["item_id"], rows[4]["rejected"]) == ("7", None)


def test_different_paths_to_one_image_give_one_id(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    names = ["./a.png", "a.png", "b//../a.png"]
    lines = [json.dumps({"image": name, "text": name}) for name in names]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    assert read_items(tmp_path / "t.jsonl").captions == {"a.png": names}


def test_a_misspelt_column_gets_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,captoin\na.png,x\n")
    with pytest.raises(SourceError, match=r"no column 'caption' \(is it 'captoin'\?\)"):
        open_source(tmp_path / "t.csv", SourceOptions(caption_columns=("caption",)))


@pytest.mark.parametrize("scheme", ["generic", "git", "zip", "FILE"])
def test_a_table_cannot_name_a_filesystem_that_reaches_local_files(
    tmp_path: Path, scheme: str
) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps({"image": f"{scheme}://{tmp_path}/t.jsonl"}))
    (reason,) = read_items(tmp_path / "t.jsonl").rejects.values()
    assert reason == f"row 1: {scheme}:// is not read from a table"


def test_a_name_too_long_for_the_filesystem_is_rejected(tmp_path: Path) -> None:
    longest = "y" * 251 + ".png"
    put(tmp_path, longest)
    lines = [json.dumps({"file_name": name}) for name in ["x" * 300 + ".png", longest]]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    items = read_items(tmp_path)
    assert (items.ids, list(items.rejects)) == ([longest], ["x" * 300 + ".png"])


def test_a_table_that_is_not_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    put(tmp_path, "a.png", "train/b.png")
    for name in ("captions.csv", "metadata.csv", "train/metadata.csv"):
        (tmp_path / name).write_text("file_name,text\na.png,x\n")
    items = read_items(tmp_path)
    assert items.captions == {"a.png": ["x"], "train/b.png": []}
    assert list(items.rejects) == ["train/a.png", "metadata.csv"]


@pytest.mark.parametrize("kind", ["arrow", "feather"])
def test_a_damaged_arrow_file_does_not_crash_the_process(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"t.{kind}"
    table = pa.table({"image": [b"a" * 50] * 100, "tags": [["x", "y"]] * 100})
    if kind == "feather":
        pyarrow.feather.write_feather(table, path, compression="uncompressed", chunksize=50)
    else:
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=50)
    whole, chance = path.read_bytes(), random.Random(0)
    damaged = 0
    for _ in range(300):
        data = bytearray(whole)
        data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        try:
            damaged += bool(read_items(path).rejects)
        except SourceError:
            damaged += 1
    assert damaged > 10


class _Dropping(MemoryFileSystem):
    """A filesystem whose shard 0 fails after 10 KiB, with an error that is no OSError."""

    protocol = "dropping"
    store: dict[str, Any] = {}  # noqa: RUF012 (as in its base)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("dropping://").lstrip("/")

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        file = super().open(path, mode, **options)
        return _Cut(file.getvalue()) if mode == "rb" and path.endswith("s-0.tar") else file


class _Cut(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= 10_240:
            raise RuntimeError("connection lost")
        return super().read(size)


def test_a_connection_lost_within_a_shard_is_reported() -> None:
    fsspec.register_implementation("dropping", _Dropping, clobber=True)
    for shard, names in (("s-0", [f"{n}.jpg" for n in range(9)]), ("s-1", ["last.jpg"])):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size = 3000
                tar.addfile(member, io.BytesIO(b"x" * 3000))
        fsspec.filesystem("dropping").pipe(f"/{shard}.tar", buffer.getvalue())
    items = read_items("dropping://s-{0..1}.tar")
    assert items.ids[-1] == "last"
    assert "connection lost" in items.rejects["s-0.tar"]
