"""Columns of captions: numbered ones, and patterns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mm_milvus.errors import SourceError
from mm_milvus.files import locate
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions
from mm_milvus.sources.roles import CAPTION_COLUMNS, find_roles

from .conftest import read_items


def caption_columns(columns: str, **options: object) -> tuple[str, ...]:
    roles = find_roles(locate("t.csv"), tuple(columns.split()), SourceOptions(**options))  # type: ignore[arg-type]
    return roles.captions


@pytest.mark.parametrize("usual", CAPTION_COLUMNS)
@pytest.mark.parametrize("form", ["{}_{}", "{}{}", "{}-{}", "{}.{}"])
def test_numbered_columns_are_captions_in_the_order_of_their_numbers(usual: str, form: str) -> None:
    names = [form.format(usual, number) for number in range(12)]
    assert caption_columns(" ".join(["image", *reversed(names), "n"])) == tuple(names)


@pytest.mark.parametrize(
    ("columns", "captions"),
    [
        ("image caption caption_1 caption_2 title", "caption caption_1 caption_2"),
        ("image title caption_2 caption_1", "caption_1 caption_2"),
        ("image Caption_1 CAPTION_0", "CAPTION_0 Caption_1"),
        ("image caption_lang text_length title", "title"),
        ("image caption_1_source caption_x", ""),
        ("image n", ""),
    ],
)
def test_columns_of_captions_are_found_by_usual_names(columns: str, captions: str) -> None:
    assert caption_columns(columns) == tuple(captions.split())


@pytest.mark.parametrize(
    ("patterns", "captions"),
    [
        (("c_*",), "c_1 c_2 c_10"),
        (("*_de", "c_*"), "x_de c_1 c_2 c_10"),
        (("c_2", "c_*"), "c_2 c_1 c_10"),
        (("*",), "a[b] c*d c_1 c_2 c_10 x_de"),
        (("c*d",), "c*d"),
        (("a[*",), "a[b]"),
    ],
)
def test_patterns_choose_columns_that_have_no_other_role(
    patterns: tuple[str, ...], captions: str
) -> None:
    columns = "c_10 image c_2 sku c_1 x_de a[b] c*d"
    chosen = caption_columns(columns, caption_columns=patterns, id_column="sku")
    assert chosen == tuple(captions.split())


def test_a_pattern_that_matches_no_column_is_rejected() -> None:
    with pytest.raises(SourceError, match=r"has no column 'c_\*'.*: its columns are image, n$"):
        caption_columns("image n", caption_columns=("c_*",))


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_the_captions_of_numbered_columns_are_joined(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    row = {"image": "a.png", "caption_1": "two", "caption_0": "one", "caption_2": "", "n": 1}
    table = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        table.write_text(",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n")
    else:
        table.write_text(json.dumps(row))
    for options in ({}, {"caption_columns": ("caption_*",)}):
        item = read_items(table, **options)["a.png"]
        assert (item["captions"], item["metadata"]) == (["one", "two"], {"n": 1})
    assert open_source(table).name == "t"
