"""JSON files as tables: any spacing, broken objects, COCO and columns."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_milvus.errors import SourceError
from mm_milvus.sources.json_records import JsonReader, to_rows
from mm_milvus.sources.open import open_source

from .conftest import read_items

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.lists(st.dictionaries(st.text(), VALUES, max_size=3), max_size=6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def rows_of(text: str, chunk: int = 2**20) -> list[tuple[Any, str | None]]:
    reader = JsonReader(io.StringIO(text, newline="\n"), chunk)
    return [(row.values, row.fault) for row in to_rows(reader, "t")]


@given(
    OBJECTS,
    st.integers(1, 40),
    st.sampled_from([None, 0, 2, "\t"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", " ", "\n", "\r\n\n"]),
)
def test_any_objects_in_any_spacing_and_pieces_give_the_same_rows(
    objects: list[dict[str, Any]],
    chunk: int,
    indent: int | str | None,
    ascii_only: bool,
    array: bool,
    space: str,
) -> None:
    texts = [json.dumps(value, indent=indent, ensure_ascii=ascii_only) for value in objects]
    text = space + (f",{space}" if array else space).join(texts) + space
    if array:
        text = f"[{text}]"
    assert rows_of(text, chunk) == [(value, None) for value in objects]


BROKEN = [
    '{"a": 1,}',
    '{"a": }',
    '{"a": "x, "b": 1}',
    '{"a": [1}',
    '{"a": 1',
    '{"a": "x',
    "{'a': 1}",
    '{"a": "\\q"}',
    "nonsense",
]


@pytest.mark.parametrize("chunk", [1, 7, 2**20])
@pytest.mark.parametrize("template", ["[{},\n{},\n{}]", "[\n  {},\n  {},\n  {}\n]", "{}\n{}\n{}\n"])
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_object_of_its_own_line_is_one_reject(
    broken: str, template: str, chunk: int
) -> None:
    text = template.replace("{}", "%s") % ('{"n": 1}', broken, '{"n": 3}')
    first, (values, fault), last = rows_of(text, chunk)
    assert (first, last) == (({"n": 1}, None), ({"n": 3}, None))
    assert values is None
    assert "is not valid JSON" in (fault or "")


@pytest.mark.parametrize(
    "text", ['[{"n": 1}, {"a": "x, "b": 1}, {"n": 3}]', '[{"n": 1}, {"n": 2', '[{"n": 1}, ']
)
def test_what_cannot_be_read_further_is_one_reject_that_says_so(text: str) -> None:
    first, (_, fault) = rows_of(text)
    assert first == ({"n": 1}, None)
    assert (fault or "").endswith("the rest of the file is lost")


ROWS = [{"image": "a.png", "caption": ["x", "y"]}, {"image": "b.png", "caption": ["z"]}]


@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        {"data": ROWS, "version": 1},
        {"image": ["a.png", "b.png"], "caption": [["x", "y"], ["z"]]},
        {"image": {"0": "a.png", "1": "b.png"}, "caption": {"0": ["x", "y"], "1": ["z"]}},
        {
            "columns": ["image", "caption"],
            "index": [7, 9],
            "data": [["a.png", ["x", "y"]], ["b.png", ["z"]]],
        },
        {"data": [["a.png", ["x", "y"]], ["b.png", "z"]], "columns": ["image", "caption"]},
        {
            "dataset": "flickr8k",
            "images": [
                {"filename": "a.png", "sentences": [{"raw": "x", "tokens": []}, {"raw": "y"}]},
                {"filename": "b.png", "split": "test", "sentences": [{"raw": "z"}], "imgid": 1},
            ],
        },
        {
            "info": {"year": 2017},
            "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
            "annotations": [
                {"image_id": 1, "caption": "x"},
                {"image_id": 2, "caption": "z"},
                {"image_id": 1, "caption": "y"},
            ],
        },
    ],
)
def test_each_form_of_a_json_file_gives_the_same_captions(folder: Path, content: Any) -> None:
    (folder / "set.json").write_text(json.dumps(content))
    items = read_items(folder / "set.json")
    assert items.rejects == {}
    captions = {row["uri"].rpartition("/")[2]: row["captions"] for row in items.rows}
    assert captions == {"a.png": ["x", "y"], "b.png": ["z"]}


def test_rows_of_pandas_that_lack_a_value_are_rejects(folder: Path) -> None:
    rows = [["a.png", "x"], ["b.png"], "b.png", ["b.png", "z"]]
    content = {"columns": ["image", "caption"], "data": rows}
    (folder / "set.json").write_text(json.dumps(content, indent=1))
    items = read_items(folder / "set.json")
    assert items.captions == {"a.png": ["x"], "b.png": ["z"]}
    assert list(items.rejects) == ["row-2", "row-3"]


def test_karpathy_s_splits_have_folders_and_other_sentences_are_rejects(folder: Path) -> None:
    (folder / "val2014").mkdir()
    (folder / "val2014/c.png").write_bytes(b"x")
    images = [
        {"filepath": "val2014", "filename": "c.png", "sentences": [{"raw": "x"}], "split": "test"},
        {"filename": "a.png", "sentences": [{"tokens": ["x"]}]},
        {"filename": "b.png", "sentences": []},
    ]
    (folder / "set.json").write_text(json.dumps({"images": images, "dataset": "coco"}))
    items = read_items(folder / "set.json")
    assert items.captions == {"val2014/c.png": ["x"], "b.png": []}
    assert items["val2014/c.png"]["metadata"] == {"split": "test"}
    assert "neither a text nor a list" in items.rejects["a.png"]


def test_images_without_annotations_are_items_and_unknown_images_rejects(folder: Path) -> None:
    images = [{"id": 7, "file_name": "a.png", "width": 5}, {"id": 8, "file_name": "b.png"}]
    annotations = [{"image_id": 7, "caption": "x"}, {"image_id": 99, "caption": "lost"}]
    text = json.dumps({"annotations": annotations, "images": images})
    (folder / "set.json").write_text(text)
    items = read_items(folder / "set.json")
    assert list(items.captions.values()) == [["x"], []]
    assert json.loads(items.rows[0]["metadata"])["width"] == 5
    (reason,) = items.rejects.values()
    assert reason == "set.json:1 is an annotation of the image 99, which is not in the file"


def test_columns_of_different_lengths_are_an_error(folder: Path) -> None:
    (folder / "set.json").write_text('{"image": ["a.png"], "caption": ["x", "y"]}')
    with pytest.raises(SourceError, match="1 values in its first column and 2 in caption"):
        open_source(folder / "set.json")
