"""Parts of a table: their columns, the ids and places of their rows, and what is not read."""

from __future__ import annotations

import csv
import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_milvus.errors import SourceError
from mm_milvus.sources.open import open_source

from .conftest import read_items

Rows = list[dict[str, Any]]

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path: Path, rows: Rows) -> None:
    """Write a table in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        table = pa.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows])
        if path.suffix == ".parquet":
            pq.write_table(table, path)
        else:
            with pa.ipc.new_stream(path, table.schema) as stream:
                stream.write_table(table)


def write_images(path: Path, *images: tuple[str | None, bytes], **columns: list[Any]) -> None:
    """Write a table as Hugging Face does, with paths and contents of images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = pa.array([{"bytes": data, "path": name} for name, data in images], IMAGE)
    table = pa.table({"image": cells, **columns})
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=2)
    else:
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table, max_chunksize=2)


def skipped(path: Path | str) -> dict[str, int]:
    return dict(open_source(path).skipped_files)  # type: ignore[attr-defined]


# Rows without an image need no file.
PARTS = st.lists(
    st.tuples(
        st.sampled_from([".csv", ".jsonl", ".parquet", ".arrow"]),
        st.sets(st.sampled_from(["price", "color", "stock"])),
        st.booleans(),
        st.integers(1, 4),
    ),
    min_size=1,
    max_size=5,
)


@given(PARTS)
@settings(max_examples=60, deadline=None)
def test_metadata_columns_of_any_parts_and_the_places_of_their_rows(
    parts: list[tuple[str, set[str], bool, int]],
) -> None:
    with tempfile.TemporaryDirectory() as root:
        expected: dict[str, tuple[dict[str, str], str]] = {}
        done = 0
        for number, (suffix, columns, has_captions, size) in enumerate(parts):
            path = Path(root, f"{number}{suffix}")
            rows = [
                {
                    "image": "data:image/png;base64,eHg=",
                    **({"caption": f"{number} {row}"} if has_captions else {}),
                    **{name: f"{name} {row}" for name in sorted(columns)},
                }
                for row in range(size)
            ]
            write(path, rows)
            for row in range(size):
                row_id = f"{path.name}/row-{row + 1}"
                if suffix == ".parquet":
                    done += 1
                    row_id = f"row-{done}"
                if len(parts) == 1:
                    row_id = f"row-{row + 1}"
                metadata = {name: f"{name} {row}" for name in columns}
                expected[row_id] = (metadata, f"{path}#row={row + 1}")
        items = read_items(root)
        assert items.rejects == {}
        read = {row["item_id"]: (json.loads(row["metadata"]), row["uri"]) for row in items.rows}
        assert read == expected
        captions = [text for row in items.rows for text in row["captions"]]
        assert len(captions) == sum(size for *_, has_captions, size in parts if has_captions)


@pytest.mark.parametrize(
    ("first", "second", "kind", "parameter"),
    [
        ({"image": "", "caption": "x"}, {"image": "", "title": "x"}, "captions", "caption_columns"),
        ({"image": "", "caption": "x"}, {"url": "", "caption": "x"}, "images", "image_column"),
        ({"image": "", "text": "x", "id": "1"}, {"image": "", "text": "x"}, "ids", "id_column"),
    ],
)
def test_parts_whose_columns_have_other_roles_are_named(
    tmp_path: Path, first: dict[str, str], second: dict[str, str], kind: str, parameter: str
) -> None:
    for names in (("a", "b"), ("b", "a")):
        write(tmp_path / f"{names[0]}.csv", [first])
        write(tmp_path / f"{names[1]}.csv", [second])
        with pytest.raises(SourceError, match=rf"[ab].csv has its {kind} in .*`{parameter}`"):
            open_source(tmp_path)


def test_chosen_columns_settle_a_conflict_of_roles(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", [{"image": "", "caption": "x", "id": "1"}])
    write(tmp_path / "b.csv", [{"image": "", "title": "y", "id": "2"}])
    items = read_items(tmp_path, caption_columns=("caption", "title"))
    assert items.captions == {"1": ["x"], "2": ["y"]}
    with pytest.raises(SourceError, match="no column 'subject'"):
        read_items(tmp_path, caption_columns=("caption", "subject"))


def test_numbered_captions_may_be_more_in_one_part(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [{"image": None, "caption_0": "x"}])
    write(tmp_path / "b.jsonl", [{"image": None, "caption_0": "y", "caption_1": "z"}])
    assert list(read_items(tmp_path).captions.values()) == [["x"], ["y", "z"]]


@pytest.mark.parametrize("first", ["classes.csv", "zebra.csv"])
def test_another_table_is_counted_and_one_with_captions_is_a_reject(
    tmp_path: Path, first: str
) -> None:
    write_images(tmp_path / "train.parquet", ("a.png", b"a"), text=["a"])
    write(tmp_path / first, [{"name": "cat", "number": "1"}])
    items = read_items(tmp_path)
    assert items.captions == {"train/a.png": ["a"]}
    assert items.rejects == {}
    assert skipped(tmp_path) == {".csv": 1}
    write(tmp_path / first, [{"name": "cat", "text": "a cat"}])
    items = read_items(tmp_path)
    assert items.ids == ["train/a.png"]
    assert "no column of images" in items.rejects[first]
    assert skipped(tmp_path) == {}


def test_tables_without_images_alone_are_an_error_with_the_remedy(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", [{"name": "cat"}])
    write(tmp_path / "b.csv", [{"name": "cat", "number": "1"}])
    with pytest.raises(SourceError, match=r"a\.csv has no column with a usual name for images"):
        open_source(tmp_path)
    write(tmp_path / "c.csv", [{"image": "", "caption": "x"}])
    with pytest.raises(SourceError, match="has no column 'imgae'"):
        read_items(tmp_path, image_column="imgae")


def test_names_that_begin_with_an_underscore_or_a_dot_are_not_read(tmp_path: Path) -> None:
    write_images(tmp_path / "part-0.parquet", (None, b"a"))
    for path in (
        *("_SUCCESS", "_metadata", ".part-0.parquet.crc", "_delta_log/00000.json"),
        *("_delta_log/00010.checkpoint.parquet", "_temporary/0/part-0.csv", "data/_old.csv"),
        *("_delta_log/x.tar", "data/._part-0.parquet", ".cache/part-1.parquet"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"other")
    items = read_items(tmp_path)
    assert items.ids == ["row-1"]
    assert items.rejects == {}
    assert skipped(tmp_path) == {}


def test_files_that_are_not_read_are_counted_by_suffix(tmp_path: Path) -> None:
    for path in ("a.svg", "x/b.SVG", "notes.docx", "Makefile", "README.md", "LICENSE", "data.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    counts = {".svg": 2, ".docx": 1, "without a suffix": 1, ".txt": 1}
    write_images(tmp_path / "part-0.parquet", (None, b"a"))
    assert skipped(tmp_path) == counts
    (tmp_path / "cache-1.arrow").write_bytes(b"x")
    assert skipped(tmp_path) == {**counts, ".arrow": 1}
    (tmp_path / "0.tar").write_bytes(b"x")
    assert skipped(tmp_path) == {**counts, ".arrow": 1, ".parquet": 1}


def test_faults_name_the_part_and_count_rows_in_it(tmp_path: Path) -> None:
    good = {"image": "data:image/png;base64,eHg=", "caption": "x"}
    bad = {"image": "", "caption": ""}
    write(tmp_path / "2024/a.parquet", [good, good])
    write(tmp_path / "2025/a.parquet", [good, bad, {"image": "../../x.png", "caption": "x"}])
    items = read_items(tmp_path)
    assert items.rejects == {
        "row-4": "row 2 of 2025/a.parquet: there is no image in image, and no caption",
        "../../x.png": "row 3 of 2025/a.parquet: the image path ../../x.png leads out of the "
        "table's folder: give the table itself, with `allow_outside`, to read it",
    }
    uris = {row["item_id"]: row["uri"] for row in items.rows}
    assert uris["row-2"] == f"{tmp_path}/2024/a.parquet#row=2"
    assert uris["row-4"] == f"{tmp_path}/2025/a.parquet#row=2"


def test_a_repeated_id_names_the_parts_of_both_rows(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.csv", [{"id": f"{name}1", "image": "", "caption": name}])
    write(tmp_path / "c.csv", [{"id": name, "image": "", "caption": name} for name in ("x", "b1")])
    items = read_items(tmp_path)
    # Rows of one id without an image are one item; these have another one.
    assert items.captions == {"a1": ["a"], "b1": ["b", "b1"], "x": ["x"]}
    write(
        tmp_path / "c.csv",
        [{"id": "b1", "image": "data:image/png;base64,eHg=", "caption": "other"}],
    )
    (reason,) = read_items(tmp_path).rejects.values()
    assert reason == "row 1 of c.csv repeats the id b1 of row 1 of b.csv: the first is kept"


CONTENT = st.tuples(st.sampled_from(["a.png", "b.png", None]), st.sampled_from([b"1", b"2"]))


@given(
    st.lists(st.lists(CONTENT, min_size=1, max_size=4), min_size=1, max_size=3),
    st.sampled_from([".parquet", ".arrow"]),
)
@settings(max_examples=60, deadline=None)
def test_rows_with_one_path_are_one_item_if_their_bytes_are_equal(
    parts: list[list[tuple[str | None, bytes]]], suffix: str
) -> None:
    rows = [(name, data) for part in parts for name, data in part]
    with tempfile.TemporaryDirectory() as root:
        done = 0
        for number, part in enumerate(parts):
            texts = [f"{done + row}" for row in range(len(part))]
            write_images(Path(root, f"{number}{suffix}"), *part, text=texts)
            done += len(part)
        items = read_items(root)
    assert items.rejects == {}
    assert len(set(items.ids)) == len(items.ids)
    # By path and bytes, in the order of the first rows; a row without a path stands alone.
    groups: dict[object, list[str]] = {}
    for number, (name, data) in enumerate(rows):
        groups.setdefault((name, data) if name else number, []).append(f"{number}")
    assert list(items.captions.values()) == list(groups.values())
    for row in items.rows:
        assert row["image"] == rows[int(row["captions"][0])][1]
    for name in {name for name, _ in rows if name}:
        assert items[name]["image"] == next(data for other, data in rows if other == name)


def test_many_images_of_one_path_in_turn_are_gathered(tmp_path: Path) -> None:
    images = [("image.png", b"%d" % (number % 11)) for number in range(30)]
    write_images(tmp_path / "0.parquet", *images, text=[f"{number}" for number in range(30)])
    items = read_items(tmp_path)
    assert items.ids == ["image.png", *(f"row-{number}" for number in range(2, 12))]
    assert items["row-2"]["captions"] == ["1", "12", "23"]


@pytest.mark.parametrize(
    ("suffix", "ids"), [(".parquet", ["a.png", "b.png"]), (".arrow", ["a.png", "b.png", "row-4"])]
)
def test_images_in_remote_arrow_files_are_read_once(
    memory: Any, tmp_path: Path, suffix: str, ids: list[str]
) -> None:
    images = [("a.png", b"1"), ("a.png", b"1"), ("b.png", b"2"), ("a.png", b"1")]
    write_images(tmp_path / f"0{suffix}", *images, text=["w", "x", "y", "z"])
    memory.pipe(f"/set/0{suffix}", (tmp_path / f"0{suffix}").read_bytes())
    for path in ("memory://set", f"memory://set/0{suffix}"):
        items = read_items(path)
        assert items.ids == ids
        assert items["a.png"]["captions"][:2] == ["w", "x"]


def test_later_rows_of_one_path_with_other_bytes_are_named_by_their_number(tmp_path: Path) -> None:
    write_images(tmp_path / "train-0.parquet", ("0.png", b"cat"), ("1.png", b"dog"))
    write_images(tmp_path / "train-1.parquet", ("0.png", b"car"), ("0.png", b"cat"))
    items = read_items(tmp_path)
    assert items.ids == ["train/0.png", "train/1.png", "train/row-3"]
    assert items["train/row-3"]["image"] == b"car"


def test_ids_of_a_column_gather_rows_of_equal_bytes_alone(tmp_path: Path) -> None:
    images = [(None, b"1"), (None, b"2"), (None, b"1"), (None, b"3")]
    write_images(
        tmp_path / "0.parquet", *images, id=["a", "b", "a", "b"], text=["w", "x", "y", "z"]
    )
    items = read_items(tmp_path)
    assert items.captions == {"a": ["w", "y"], "b": ["x"]}
    assert items.rejects == {"b": "row 4 repeats the id b of row 2: the first is kept"}


@pytest.mark.parametrize("suffix", [".csv.gz", ".jsonl.gz", ".arrow", ".parquet"])
def test_damage_in_one_part_changes_no_id_in_the_others(tmp_path: Path, suffix: str) -> None:
    for number in range(3):
        rows = [
            {"image": f"{number} {row} {'x' * 50}", "caption": f"{number} {row}"}
            for row in range(300)
        ]
        path = tmp_path / f"{number}{suffix}"
        for row in rows:
            row["image"] = ""
        if suffix.endswith(".gz"):
            plain = path.with_suffix("")
            write(plain, rows)
            path.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
            plain.unlink()
        else:
            write(path, rows)
    whole = read_items(tmp_path).captions
    assert len(whole) == 900
    path = tmp_path / f"1{suffix}"
    data = path.read_bytes()
    if suffix == ".parquet":
        path.write_bytes(data[:4] + b"\xff" * 40 + data[44:])
    else:
        path.write_bytes(data[: len(data) * 2 // 3])
    damaged = read_items(tmp_path)
    assert damaged.rejects
    assert 600 <= len(damaged.captions) < 900
    assert damaged.captions.items() <= whole.items()


def test_a_part_whose_rows_cannot_be_counted_says_what_depends_on_it(tmp_path: Path) -> None:
    for number in range(3):
        write_images(tmp_path / f"{number}.parquet", (None, b"%d" % number))
    for number, depends in ((0, True), (2, False)):
        path = tmp_path / f"{number}.parquet"
        data = path.read_bytes()
        path.write_bytes(data[:-20])
        items = read_items(tmp_path)
        assert len(items.ids) == 2
        assert ("later parts are counted without" in items.rejects[path.name]) == depends
        path.write_bytes(data)


@pytest.mark.parametrize("names", [("0.csv", "1.csv"), ("train/0.csv", "train/1.csv")])
def test_the_path_of_a_part_begins_the_ids_of_rows_that_are_counted_in_it(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    for name in names:
        write(tmp_path / name, [{"image": "", "caption": name}])
    split = "train/" if "/" in names[0] else ""
    assert read_items(tmp_path).captions == {
        f"{split}{Path(name).name}/row-1": [name] for name in names
    }


def test_notes_of_all_parts_are_kept(tmp_path: Path) -> None:
    for name in ("a", "b"):
        cells = [str(number) for number in range(10)] + ["sold out"]
        write(
            tmp_path / f"{name}.csv", [{"image": "", "caption": "x", "n": cell} for cell in cells]
        )
    source = open_source(tmp_path)
    assert sum(batch.num_rows for batch in source.batches()) == 22
    assert list(source.notes.values()) == [2]  # type: ignore[attr-defined]


def test_paths_are_relative_to_the_folder_of_their_part(tmp_path: Path) -> None:
    for year in ("2024", "2025"):
        (tmp_path / f"pictures/{year}").mkdir(parents=True)
        (tmp_path / f"pictures/{year}/x.png").write_bytes(year.encode())
        path = tmp_path / f"tables/{year}/items.csv"
        write(path, [{"image": "x.png", "caption": year}])
    items = read_items(tmp_path / "tables", image_root="../../pictures/2024")
    assert items.captions == {"x.png": ["2024", "2025"]}
    for year in ("2024", "2025"):
        write(
            tmp_path / f"tables/{year}/items.csv",
            [{"image": f"../../pictures/{year}/x.png", "caption": year}],
        )
    items = read_items(tmp_path / "tables", allow_outside=True)
    assert [row["image"] for row in items.rows] == [b"2024", b"2025"]


def test_parts_of_any_filesystem_are_named_by_their_uri(memory: Any, tmp_path: Path) -> None:
    write_images(tmp_path / "train_0.parquet", (None, b"a"), text=["a"])
    write_images(tmp_path / "train_1.parquet", (None, b"b"), text=["b"])
    write_images(tmp_path / "test/0.parquet", ("x.png", b"c"), text=["c"])
    write(tmp_path / "classes.csv", [{"name": "cat"}])
    for file in tmp_path.rglob("*.*"):
        memory.pipe(f"/set/{file.relative_to(tmp_path)}", file.read_bytes())
    memory.pipe("/set/_delta_log/0.parquet", b"x")
    items = read_items("memory://set")
    assert items.captions == {"test/x.png": ["c"], "train/row-1": ["a"], "train/row-2": ["b"]}
    assert items["train/row-2"]["uri"] == "memory:///set/train_1.parquet#row=1"
    assert skipped("memory://set") == {".csv": 1}
    memory.pipe("/set/train_0.parquet", b"PAR1 cut")
    items = read_items("memory://set")
    assert items.ids == ["test/x.png", "train/row-1"]
    (reject,) = (row for row in items.rows if row["rejected"])
    assert (reject["item_id"], reject["uri"]) == (
        "train_0.parquet",
        "memory:///set/train_0.parquet",
    )


CELLS = st.sampled_from(["1", "-7", "2.5", "00123", "7E5", "true", "false", "", "n/a", "sold out"])


@given(st.lists(st.lists(CELLS, min_size=1, max_size=6), min_size=2, max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_column_has_the_same_type_in_several_csv_files_as_in_one(parts: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        cells = [cell for part in parts for cell in part]
        rows = [{"image": "", "caption": "x", "n": cell} for cell in cells]
        write(Path(root, "whole/all.csv"), rows)
        done = 0
        for number, part in enumerate(parts):
            write(Path(root, f"parts/{number}.csv"), rows[done : done + len(part)])
            done += len(part)
        whole, split = (read_items(Path(root, name)).rows for name in ("whole", "parts"))
    assert [row["metadata"] for row in split] == [row["metadata"] for row in whole]
