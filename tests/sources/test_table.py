"""Tables of every format: columns, captions, ids, metadata and faults."""

from __future__ import annotations

import csv
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mm_milvus.errors import SourceError
from mm_milvus.sources.encodings import REMEDY
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions

from .conftest import read_items

Rows = list[dict[str, Any]]


def write_csv(path: Path, rows: Rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_parquet(path: Path, rows: Rows) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_ipc_file(path: Path, rows: Rows) -> None:
    pyarrow.feather.write_feather(pa.Table.from_pylist(rows), path)


def write_ipc_stream(path: Path, rows: Rows) -> None:
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


WRITERS = {
    "set.csv": write_csv,
    "set.jsonl": write_jsonl,
    "set.parquet": write_parquet,
    "set.feather": write_ipc_file,
    "set.arrow": write_ipc_stream,
}
FORMATS = pytest.mark.parametrize(("file", "write"), WRITERS.items())


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).write_bytes(name.encode())


@FORMATS
def test_every_format_gives_the_same_items(
    tmp_path: Path, file: str, write: Callable[[Path, Rows], None]
) -> None:
    put(tmp_path, "a.png", "b.png")
    rows = [
        {"path": "a.png", "caption": 'one\n"two", 3 👗', "n": 1, "x": 0.5, "ok": True, "t": "u"},
        {"path": "b.png", "caption": "", "n": 2, "x": 1.5, "ok": False, "t": "00123"},
        {"path": "c.png", "caption": "no image", "n": 3, "x": 2.5, "ok": True, "t": "v"},
    ]
    write(tmp_path / file, rows)
    items = read_items(tmp_path / file)
    assert items.captions == {"a.png": ['one\n"two", 3 👗'], "b.png": []}
    assert items["a.png"]["metadata"] == {"n": 1, "x": 0.5, "ok": True, "t": "u"}
    assert items["b.png"]["metadata"]["t"] == "00123"
    assert items["b.png"]["image"] == b"b.png"
    assert items["b.png"]["uri"] == str(tmp_path / "b.png")
    assert items.rejects == {"c.png": "the image cannot be read: no such file"}
    assert open_source(tmp_path / file).name == "set"


@FORMATS
def test_the_rows_of_an_image_are_one_item(
    tmp_path: Path, file: str, write: Callable[[Path, Rows], None]
) -> None:
    put(tmp_path, "a.png", "b.png")
    pairs = [("a.png", "1"), ("a.png", "2"), ("b.png", "3"), ("./a.png", "4")]
    write(tmp_path / file, [{"image": image, "caption": text} for image, text in pairs])
    items = read_items(tmp_path / file)
    assert items.captions == {"a.png": ["1", "2", "4"], "b.png": ["3"]}
    assert items.ids == ["a.png", "b.png"]
    assert items.rejects == {}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("12")), min_size=1))
def test_rows_in_any_order_give_the_same_items(
    tmp_path: Path, pairs: list[tuple[str, str]]
) -> None:
    put(tmp_path, *(f"{name}.png" for name in "abc"))
    rows = [
        {"file_name": f"{name}.png", "text": f"{name} {number}", "id": number, "only": number}
        for number, (name, _) in enumerate(pairs)
    ]
    write_jsonl(tmp_path / "set.jsonl", rows)
    by_path = read_items(tmp_path / "set.jsonl", id_column="")
    expected: dict[str, list[str]] = {}
    for row in rows:
        expected.setdefault(str(row["file_name"]), []).append(str(row["text"]))
    assert by_path.captions == expected
    assert by_path.ids == list(expected)
    # With ids, rows of the same id and image are one item; another image is a repeated id.
    for row, (_, group) in zip(rows, pairs, strict=True):
        row["id"] = group
    write_jsonl(tmp_path / "set.jsonl", rows)
    by_id = read_items(tmp_path / "set.jsonl")
    first = {group: name for name, group in reversed(pairs)}
    kept = [row for row, (name, group) in zip(rows, pairs, strict=True) if name == first[group]]
    assert by_id.captions == {
        group: [str(row["text"]) for row in kept if row["id"] == group]
        for group in dict.fromkeys(group for _, group in pairs)
    }
    assert set(by_id.rejects) == {group for name, group in pairs if name != first[group]}


@FORMATS
def test_a_row_without_an_image_is_an_item_of_its_captions(
    tmp_path: Path, file: str, write: Callable[[Path, Rows], None]
) -> None:
    put(tmp_path, "a.png")
    rows = [
        {"id": "p1", "image": "a.png", "title": "red dress", "price": 1},
        {"id": "p2", "image": None, "title": "blue dress", "price": 2},
        {"id": "p3", "image": "", "title": "", "price": 3},
        {"id": "p2", "image": None, "title": "a second title", "price": 4},
    ]
    write(tmp_path / file, rows)
    items = read_items(tmp_path / file)
    assert items.captions == {"p1": ["red dress"], "p2": ["blue dress", "a second title"]}
    assert items["p2"]["image"] is None
    assert items["p2"]["metadata"] == {"price": 2}
    assert items.rejects == {"p3": "row 3: there is no image in image, and no caption"}


def test_ids_are_in_the_usual_columns_unless_they_are_switched_off(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    row = {"image": "a.png", "caption": "x"}
    for columns, ids in (({"id": 7}, "7"), ({"ID": "s"}, "s"), ({"id": 7, "item_id": 8}, "8")):
        write_jsonl(tmp_path / "set.jsonl", [row | columns])
        assert read_items(tmp_path / "set.jsonl").ids == [ids]
        assert read_items(tmp_path / "set.jsonl", id_column="").ids == ["a.png"]
    write_jsonl(tmp_path / "set.jsonl", [{"id": "a.png", "caption": "x"}])
    assert read_items(tmp_path / "set.jsonl", image_column="id").ids == ["a.png"]


@FORMATS
def test_a_repeated_id_is_rejected_with_both_rows(
    tmp_path: Path, file: str, write: Callable[[Path, Rows], None]
) -> None:
    put(tmp_path, "a.png", "b.png", "c.png")
    names = zip(["007", "x", "007"], "abc", strict=True)
    rows = [{"id": name, "image": f"{image}.png", "text": name} for name, image in names]
    write(tmp_path / file, rows)
    items = read_items(tmp_path / file, id_column="id")
    assert items.captions == {"007": ["007"], "x": ["x"]}
    assert items.rejects == {"007": "row 3 repeats the id 007 of row 1: the first is kept"}


@pytest.mark.parametrize(("delimiter", "written"), [("#", "#"), ("\t", "\t"), ("\\t", "\t")])
def test_any_character_can_be_the_delimiter(tmp_path: Path, delimiter: str, written: str) -> None:
    put(tmp_path, "a.png")
    head = written.join(["image", " comment", "n"])
    row = written.join(["a.png", f'"two{written}\nlines"', "5"])
    (tmp_path / "set.txt").write_text(f"{head}\n{row}\n")
    item = read_items(tmp_path / "set.txt", delimiter=delimiter)["a.png"]
    assert item["captions"] == [f"two{written}\nlines"]
    assert item["metadata"] == {"n": 5}


@pytest.mark.parametrize("delimiter", ["::", "\n", '"'])
def test_a_delimiter_that_is_not_one_character_is_rejected(tmp_path: Path, delimiter: str) -> None:
    (tmp_path / "set.csv").write_text("image\na.png\n")
    with pytest.raises(SourceError, match="one character"):
        open_source(tmp_path / "set.csv", SourceOptions(delimiter=delimiter))


def test_the_delimiter_of_a_tsv_is_a_tab(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "set.tsv").write_text("image\ttext\na.png\ta, b\n")
    assert read_items(tmp_path / "set.tsv")["a.png"]["captions"] == ["a, b"]


def test_malformed_rows_of_a_csv_are_rejected_by_line(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png")
    (tmp_path / "set.csv").write_bytes(b"image,text\na.png,1,2\n\nb.png,\xff\nb.png,3\n")
    items = read_items(tmp_path / "set.csv")
    assert items.ids == ["b.png"]
    assert items.rejects == {
        "row-1": "set.csv:2 has 3 columns, and the header has 2",
        "row-2": f"set.csv:4 is not valid UTF-8: {REMEDY}",
    }


def test_a_csv_value_that_is_not_of_its_columns_type_stays_text(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png", "c.png")
    lines = ["image,n,x", "b.png,1,nan", *["a.png,1,2"] * 1000, "c.png,many,"]
    (tmp_path / "set.csv").write_text("\n".join(lines))
    items = read_items(tmp_path / "set.csv")
    assert items["b.png"]["metadata"] == {"n": 1}
    assert items["a.png"]["metadata"] == {"n": 1, "x": 2}
    assert items["c.png"]["metadata"] == {"n": "many"}


def test_malformed_lines_of_jsonl_are_rejected_by_line(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    lines = ['{"image": "a.png", "text": "x\\ud800"}', "{", "", "[1]", '{"price": 1}']
    (tmp_path / "set.jsonl").write_text("\n".join(lines))
    items = read_items(tmp_path / "set.jsonl")
    assert items.captions == {"a.png": ["x\\ud800"]}
    assert list(items.rejects) == ["row-2", "row-3", "row-4"]
    assert items.rejects["row-2"].startswith("set.jsonl:2 is not valid JSON")
    assert items.rejects["row-3"] == "set.jsonl:4 is not a JSON object"
    assert items.rejects["row-4"] == "row 4: there is no image in image, and no caption"


def test_several_caption_columns_and_lists_are_joined(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    write_parquet(tmp_path / "set.parquet", [{"img": "a.png", "en": ["a", " ", "b"], "de": "c"}])
    item = read_items(tmp_path / "set.parquet", caption_columns=("de", "en"))["a.png"]
    assert item["captions"] == ["c", "a", "b"]


def test_images_of_hugging_face_are_bytes_with_or_without_a_path(tmp_path: Path) -> None:
    put(tmp_path, "c.png")
    struct = [
        {"bytes": b"A", "path": "x/a.png"},
        {"bytes": b"B", "path": None},
        {"bytes": None, "path": "c.png"},
        None,
    ]
    rows = [{"image": image, "text": str(n), "thumb": b"t"} for n, image in enumerate(struct)]
    write_parquet(tmp_path / "set.parquet", rows)
    items = read_items(tmp_path / "set.parquet")
    assert items.captions == {"x/a.png": ["0"], "row-2": ["1"], "c.png": ["2"], "row-4": ["3"]}
    assert items["row-2"]["image"] == b"B"
    assert items["row-2"]["uri"] == f"{tmp_path}/set.parquet#row=2"
    assert items["x/a.png"]["metadata"] == {}
    assert items["row-4"]["image"] is None
    assert open_source(tmp_path / "set.parquet").size == 4


def test_images_as_bytes_with_a_column_of_ids(tmp_path: Path) -> None:
    rows = [{"image": b"A", "sku": 7, "text": "x"}, {"image": b"", "sku": 8, "text": "y"}]
    write_parquet(tmp_path / "set.parquet", rows)
    items = read_items(tmp_path / "set.parquet", id_column="sku")
    assert (items.ids, items.rejects) == (["7"], {"8": "the image file is empty"})


def test_metadata_keeps_types_and_omits_what_json_does_not_have(tmp_path: Path) -> None:
    day = datetime.date(2024, 2, 29)
    values = {
        "day": pa.array([day]),
        "moment": pa.array([1_700_000_000_000_000_001], pa.timestamp("ns", "UTC")),
        "nested": pa.array([{"a": [1, None], "raw": b"x", "day": day}]),
        "nan": pa.array([float("nan")]),
        "null": pa.array([None], pa.int32()),
        "raw": pa.array([b"x"]),
        "price": pa.array([1.5]).cast(pa.decimal128(5, 2)),
    }
    table = pa.table({"image": pa.array([b"A"]), **values})
    pq.write_table(table, tmp_path / "set.parquet")
    assert read_items(tmp_path / "set.parquet")["row-1"]["metadata"] == {
        "day": "2024-02-29",
        "moment": "2023-11-14T22:13:20+00:00",
        "nested": {"a": [1], "day": "2024-02-29"},
        "price": 1.5,
    }


def test_only_the_row_that_python_cannot_represent_is_rejected(tmp_path: Path) -> None:
    moments = pa.array([0, 2**59, 0], pa.timestamp("us"))
    table = pa.table({"image": pa.array([b"A", b"B", b"C"]), "when": moments})
    pq.write_table(table, tmp_path / "set.parquet")
    items = read_items(tmp_path / "set.parquet")
    assert (items.ids, list(items.rejects)) == (["row-1", "row-3"], ["row-2"])


def test_a_missing_column_is_reported_with_the_columns_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("image,text\na.png,x\n")
    for options in ({"image_column": "pic"}, {"caption_columns": ("pic",)}, {"id_column": "pic"}):
        with pytest.raises(SourceError, match=r"no column 'pic': its columns are image, text$"):
            open_source(tmp_path / "set.csv", SourceOptions(**options))  # type: ignore[arg-type]


def test_a_table_without_a_usual_image_column_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("foo,text\na.png,x\n")
    with pytest.raises(SourceError, match="they are foo, text"):
        open_source(tmp_path / "set.csv")


def test_two_columns_of_one_name_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("image,text,text\na.png,x,y\n")
    with pytest.raises(SourceError, match="two columns 'text'"):
        open_source(tmp_path / "set.csv")


def test_a_table_that_was_deleted_after_it_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text("image,text\na.png,x\n")
    source = open_source(path)
    path.unlink()
    (row,) = (row for batch in source.batches() for row in batch.to_pylist())
    assert row["rejected"] == ("set.csv cannot be read after row 0: no such file; the rest is lost")


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet", "t.arrow"])
def test_an_empty_table_is_rejected(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(SourceError, match=name):
        open_source(tmp_path / name)


def test_a_damaged_parquet_is_read_up_to_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "set.parquet"
    images = [bytes([n]) * 5000 for n in range(200)]
    table = pa.table({"image": images})
    pq.write_table(table, path, row_group_size=50, compression="gzip", use_dictionary=False)
    start = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 200] = b"\xff" * 200
    path.write_bytes(data)
    items = read_items(path)
    assert items.ids[:50] == [f"row-{n}" for n in range(1, 51)]
    assert len(items.rejects) == 1
    assert "set.parquet cannot be read after row" in next(iter(items.rejects.values()))


TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(captions=TEXTS, file=st.sampled_from(["set.csv", "set.jsonl", "set.parquet"]))
def test_captions_of_any_text_round_trip(tmp_path: Path, captions: list[str], file: str) -> None:
    rows = []
    for number, caption in enumerate(captions):
        put(tmp_path, f"{number}.png")
        rows.append({"image": f"{number}.png", "caption": caption})
    WRITERS[file](tmp_path / file, rows)
    captions_read = read_items(tmp_path / file).captions
    expected = [[caption] if caption.strip() else [] for caption in captions]
    assert list(captions_read.values()) == expected
