"""Folders of images: order, sidecars, tables in a folder, and what is rejected."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_milvus.errors import SourceError
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions

from .conftest import read_items


def put(root: Path, *names: str) -> None:
    """Write files whose content is their name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def test_images_are_found_recursively_in_a_stable_order(tmp_path: Path) -> None:
    put(tmp_path, "b.JPG", "a.png", "z/y/c.heic", "d/e.WebP", "notes.md")
    items = read_items(tmp_path)
    assert items.ids == ["a.png", "b.JPG", "d/e.WebP", "z/y/c.heic"]
    assert items["d/e.WebP"]["image"] == b"d/e.WebP"
    assert items["d/e.WebP"]["uri"] == str(tmp_path / "d/e.WebP")
    assert not items.rejects


def test_one_image_is_a_dataset_with_its_own_captions(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.JPG")
    (tmp_path / "b.txt").write_text("two shoes")
    items = read_items(tmp_path / "b.JPG")
    assert items.ids == ["b.JPG"]
    assert items["b.JPG"]["image"] == b"b.JPG"
    assert items["b.JPG"]["captions"] == ["two shoes"]
    source = open_source(tmp_path / "b.JPG")
    assert (source.name, source.size) == ("b", 1)


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    put(tmp_path, "a.png", ".b.png", ".cache/c.png")
    assert read_items(tmp_path).ids == ["a.png"]


def test_a_folder_source_has_the_folders_name_and_the_number_of_images(tmp_path: Path) -> None:
    put(tmp_path / "shoes", "a.png", "b/c.png")
    source = open_source(tmp_path / "shoes")
    assert (source.name, source.size) == ("shoes", 2)


def test_a_loop_of_links_is_read_once(tmp_path: Path) -> None:
    put(tmp_path, "d/a.png")
    (tmp_path / "d/up").symlink_to(tmp_path)
    (tmp_path / "d/self.png").symlink_to("self.png")
    items = read_items(tmp_path)
    assert items.ids == ["d/a.png"]
    assert list(items.rejects) == ["d/self.png"]


def test_a_text_sidecar_has_one_caption_per_line(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "a.txt").write_text("\ufeffa red dress\r\n\n  on a hanger \n", "utf-8")
    assert read_items(tmp_path)["a.png"]["captions"] == ["a red dress", "on a hanger"]


@pytest.mark.parametrize(
    ("content", "captions", "metadata"),
    [
        ({"caption": "x", "price": 5, "tags": ["a"]}, ["x"], {"price": 5, "tags": ["a"]}),
        ({"captions": ["x", "", "y"], "text": "z"}, ["x", "y", "z"], {}),
        (["x", "y"], ["x", "y"], {}),
        ("x", ["x"], {}),
        ({"size": {"w": 1, "h": None}}, [], {"size": {"w": 1}}),
    ],
)
def test_a_json_sidecar_has_captions_and_metadata(
    tmp_path: Path, content: Any, captions: list[str], metadata: Any
) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "a.json").write_text(json.dumps(content))
    item = read_items(tmp_path)["a.png"]
    assert (item["captions"], item["metadata"]) == (captions, metadata)


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"caption": {"a": 1}}', b"[" * 100_000])
def test_a_bad_sidecar_rejects_only_its_image(tmp_path: Path, content: bytes) -> None:
    put(tmp_path, "a.png", "b.png")
    (tmp_path / "a.json").write_bytes(content)
    items = read_items(tmp_path)
    assert items.ids == ["b.png"]
    assert "a.json" in items.rejects["a.png"]


def test_a_sidecar_without_an_image_is_rejected_but_a_readme_is_not(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "d/b.txt", "README.txt")
    assert list(read_items(tmp_path).rejects) == ["d/b.txt"]


@pytest.mark.parametrize(
    ("image", "sidecar", "is_read"),
    [
        ("a.jpg", "a.json", True),
        ("a.jpg", "a.jpg.json", True),
        ("a.jpg", "a.jpg.txt", True),
        ("a.jpg", "a.caption", True),
        ("a.jpg", "a.TXT", True),
        ("a.jpg", "a.jpg.supplemental-metadata.json", True),
        ("a.jpg", "a.jpg.supplemental-met.json", True),
        (f"{'n' * 50}.jpg", f"{'n' * 46}.json", True),
        ("th\u00e9.jpg", "the\u0301.txt", True),
        ("the\u0301.jpg", "th\u00e9.jpg.txt", True),
        ("22.05.jpg", "22.05.txt", True),
        ("22.05.jpg", "22.06.txt", False),
        ("a.jpg", "A.txt", False),
        ("a.jpg", "a.jpg.extra.json", False),
        ("a.jpg", "b.jpg.json", False),
    ],
)
def test_the_names_of_sidecars(tmp_path: Path, image: str, sidecar: str, is_read: bool) -> None:
    put(tmp_path, image)
    (tmp_path / sidecar).write_text('"x"' if sidecar.endswith(".json") else "x")
    items = read_items(tmp_path)
    assert items.captions == {image: ["x"] if is_read else []}
    assert list(items.rejects) == ([] if is_read else [sidecar])
    assert sidecar != "A.txt" or "a.jpg differs in letter case" in items.rejects["A.txt"]


def test_one_image_finds_the_same_sidecars_as_a_folder(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    for suffix in ("txt", "png.txt", "png.supplemental-metadata.json"):
        (tmp_path / f"a.{suffix}").write_text(f'"{suffix}"')
    captions = ['"txt"', '"png.txt"', "png.supplemental-metadata.json"]
    for path in (tmp_path, tmp_path / "a.png"):
        assert sorted(read_items(path)["a.png"]["captions"]) == sorted(captions)


@pytest.mark.parametrize(
    ("content", "captions", "metadata"),
    [
        ({"title": "a.png", "description": "x", "url": "u"}, ["x"], {"title": "a.png", "url": "u"}),
        ({"title": "a.png", "description": ""}, [], {"title": "a.png"}),
        ({"title": "shoe", "description": "x"}, [], {"title": "shoe", "description": "x"}),
        (
            {"title": "a.png", "description": "x", "caption": "y"},
            ["y"],
            {"title": "a.png", "description": "x"},
        ),
    ],
)
def test_the_description_of_google_takeout_is_the_caption(
    tmp_path: Path, content: Any, captions: list[str], metadata: Any
) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "a.png.json").write_text(json.dumps(content))
    item = read_items(tmp_path)["a.png"]
    assert (item["captions"], item["metadata"]) == (captions, metadata)


def test_a_caption_in_several_files_is_stored_once_in_its_first_place(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "captions.csv").write_text("file_name,caption\na.png,two\na.png,one\n")
    (tmp_path / "a.txt").write_text("one\n three \ntwo\n")
    (tmp_path / "a.json").write_text('{"captions": ["three", " one ", "four", "four"]}')
    items = read_items(tmp_path)
    assert [text.strip() for text in items["a.png"]["captions"]] == ["two", "one", "three", "four"]


def test_other_files_are_counted_by_suffix(tmp_path: Path) -> None:
    put(tmp_path, "a.jfif", "b.SVG", "d/c.svg", "d/Makefile", "README.txt", "00000_stats.json")
    put(tmp_path, ".hidden.svg", "e.mpo", "f.jpe", "g.apng")
    source = open_source(tmp_path)
    items = read_items(tmp_path)
    assert items.ids == ["a.jfif", "e.mpo", "f.jpe", "g.apng"]
    assert not items.rejects
    assert source.skipped_files == {  # type: ignore[attr-defined]
        ".svg": 2,
        "without a suffix": 1,
    }


def test_folder_names_are_metadata_of_their_images(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "x/trench coat/b.png", "x/c.png")
    (tmp_path / "x/c.json").write_text('{"folder": "own"}')
    items = read_items(tmp_path)
    assert items["a.png"]["metadata"] == {}
    assert items["x/trench coat/b.png"]["metadata"] == {
        "folder": "x/trench coat",
        "folders": ["x", "trench coat"],
    }
    assert items["x/c.png"]["metadata"] == {"folder": "own", "folders": ["x"]}


def test_each_folder_has_a_table_for_its_own_images(tmp_path: Path) -> None:
    put(tmp_path, "train/a.png", "test/a.png", "test/b.png", "bad/c.png")
    (tmp_path / "train/metadata.jsonl").write_text('{"file_name": "a.png", "text": "one"}\n')
    (tmp_path / "test/metadata.csv").write_text("file_name,text\na.png,two\n../train/a.png,out\n")
    (tmp_path / "bad/captions.csv").write_text("x,y\n1,2\n")
    items = read_items(tmp_path)
    assert items.captions == {
        "test/a.png": ["two"],
        "train/a.png": ["one"],
        "bad/c.png": [],
        "test/b.png": [],
    }
    assert list(items.rejects) == ["../train/a.png", "bad/captions.csv"]
    assert "no column with a usual name for images" in items.rejects["bad/captions.csv"]
    assert items["train/a.png"]["metadata"]["folder"] == "train"


def test_a_column_has_one_type_in_the_tables_of_all_folders(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png")
    for folder, code in (("a", "123"), ("b", "00123")):
        text = f"file_name,code,stock\n1.png,{code},5\n"
        (tmp_path / folder / "metadata.csv").write_text(text)
    items = read_items(tmp_path)
    metadata = [items[f"{folder}/1.png"]["metadata"] for folder in "ab"]
    assert [(row["code"], row["stock"]) for row in metadata] == [("123", 5), ("00123", 5)]


def test_an_image_that_two_tables_list_is_one_item_and_names_both_rows(tmp_path: Path) -> None:
    put(tmp_path, "x/1.png", "x/2.png")
    (tmp_path / "metadata.csv").write_text("file_name,text\nx/1.png,one\nx/2.png,two\n")
    (tmp_path / "x/metadata.csv").write_text("file_name,text\n1.png,one again\n")
    items = read_items(tmp_path)
    assert items.captions == {"x/1.png": ["one"], "x/2.png": ["two"]}
    reason = "row 1 of x/metadata.csv repeats the id x/1.png of row 1 of metadata.csv: "
    assert items.rejects == {"x/1.png": f"{reason}the first is kept"}


def test_the_image_of_a_rejected_row_of_a_table_below_is_not_read_as_unlisted(
    tmp_path: Path,
) -> None:
    put(tmp_path, "a.png", "d/a.png", "d/b.png")
    (tmp_path / "d/metadata.jsonl").write_text('{"file_name": "./a.png", "text": {"x": 1}}\n')
    items = read_items(tmp_path)
    assert items.ids == ["a.png", "d/b.png"]
    assert len(items.rejects) == 1


def test_images_are_captioned_by_the_name_of_their_folder(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "x/trench coat/b.png")
    items = read_items(tmp_path, caption_from_folder="a photo of a {}")
    assert items.captions == {"a.png": [], "x/trench coat/b.png": ["a photo of a trench coat"]}


def test_an_empty_file_and_an_unreadable_one_are_rejected(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")
    items = read_items(tmp_path)
    assert items.ids == ["a.png"]
    assert sorted(items.rejects) == ["empty.png", "gone.png", "pipe.png"]


def test_a_name_that_is_not_utf8_is_rejected(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(b"x")
    items = read_items(tmp_path)
    assert items.ids == ["a.png"]
    assert items.rejects == {
        "\\udcff.png": "the file name is not valid UTF-8: rename the file",
    }


ROWS = [
    {"file_name": "b.png", "text": "two", "price": 2},
    {"file_name": "./d/a.png", "text": "one", "price": 1},
    {"file_name": "missing.png", "text": "none", "price": 3},
    {"file_name": "b.png", "text": "again", "price": 4},
    {"file_name": "../out.png", "text": "out", "price": 5},
]


@pytest.mark.parametrize(
    "name", ["captions.csv", "captions.tsv", "metadata.jsonl", "metadata.parquet", "metadata.csv"]
)
def test_a_table_in_the_folder_gives_captions_to_its_images(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    put(root, "b.png", "d/a.png", "unlisted.png")
    put(tmp_path, "out.png")
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(ROWS), root / name)
    elif name.endswith(".jsonl"):
        (root / name).write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        mark = "\t" if name.endswith(".tsv") else ","
        lines = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]
        (root / name).write_text("".join(mark.join(map(str, line)) + "\n" for line in lines))
    items = read_items(root)
    assert items.captions == {"b.png": ["two", "again"], "d/a.png": ["one"], "unlisted.png": []}
    assert items["b.png"]["metadata"] == {"price": 2}
    assert items["d/a.png"]["image"] == b"d/a.png"
    assert list(items.rejects) == ["missing.png", "../out.png"]


def test_a_row_of_a_folders_table_may_have_its_image_inside(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    uri = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n pixels").decode()
    rows = [{"file_name": "a.png", "text": "a"}, {"file_name": uri, "text": "inside"}]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    items = read_items(tmp_path)
    assert items.captions == {"a.png": ["a"], "row-2": ["inside"]}
    assert items["row-2"]["image"].startswith(b"\x89PNG")


def test_a_row_of_a_folders_table_may_have_no_image(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "d/b.png")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png"}\n{"text": "no picture yet"}\n')
    (tmp_path / "d" / "captions.csv").write_text("file_name,text,price\n,nor here,3\nb.png,b,4\n")
    items = read_items(tmp_path)
    assert items.captions == {
        "a.png": [],
        "row-2": ["no picture yet"],
        "d/row-1": ["nor here"],
        "d/b.png": ["b"],
    }
    assert items["d/row-1"]["metadata"] == {"folder": "d", "folders": ["d"], "price": 3}


def test_captions_of_a_table_and_a_sidecar_are_joined(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "captions.csv").write_text("file_name,caption,price\na.png,from table,1\n")
    (tmp_path / "a.json").write_text('{"caption": "from sidecar", "price": 2, "hue": "red"}')
    item = read_items(tmp_path)["a.png"]
    assert item["captions"] == ["from table", "from sidecar"]
    assert item["metadata"] == {"price": 1, "hue": "red"}


def test_the_image_of_a_rejected_row_is_not_read_as_an_unlisted_one(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png", "text": {"x": 1}}\n')
    items = read_items(tmp_path)
    assert items.ids == ["b.png"]
    assert list(items.rejects) == ["a.png"]


def test_a_folder_in_memory_is_read(memory: Any) -> None:
    memory.pipe({"/set/a.png": b"A", "/set/a.txt": b"one", "/set/d/b.png": b"B"})
    items = read_items("memory://set", caption_from_folder="a {}")
    assert items.captions == {"a.png": ["one"], "d/b.png": ["a d"]}
    assert items["d/b.png"]["uri"] == "memory:///set/d/b.png"
    assert open_source("memory://set").name == "set"


def test_a_file_uri_is_a_local_folder(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    item = read_items(f"file://{tmp_path}")["a.png"]
    assert item["uri"] == str(tmp_path / "a.png")


def test_an_empty_folder_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="empty folder; "):
        open_source(tmp_path)


def test_a_folder_without_images_is_rejected(tmp_path: Path) -> None:
    put(tmp_path, "a.md")
    with pytest.raises(SourceError, match=r"holds no image, table or tar shard .*\.jpg"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        SourceOptions(caption_from_folder="no place"),
        SourceOptions(id_column="id"),
        SourceOptions(image_column="image"),
    ],
)
def test_options_that_do_not_apply_to_a_folder_are_rejected(
    tmp_path: Path, options: SourceOptions
) -> None:
    put(tmp_path, "a.png")
    with pytest.raises(SourceError):
        open_source(tmp_path, options)
