"""Delimiters and quotes of CSV and TSV files: hints for what does not fit, and no quoting."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mm_milvus.errors import SourceError
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions

from .conftest import read_items

CAPTIONS = {"a.png": '"start without end', "b.png": 'a 5" pipe', "c.png": 'end"', "d.png": "x"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in CAPTIONS:
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_quotes_of_texts_are_kept_without_quoting(
    folder: Path, suffix: str, delimiter: str
) -> None:
    lines = [delimiter.join(cells) for cells in [("image", "caption"), *CAPTIONS.items()]]
    (folder / f"t.{suffix}").write_text("\n".join(lines) + "\n")
    items = read_items(folder / f"t.{suffix}", no_quoting=True)
    assert items.rejects == {}
    assert items.captions == {name: [caption] for name, caption in CAPTIONS.items()}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.text(st.sampled_from("\"' a,;\\"), min_size=1), min_size=1, max_size=4))
def test_any_text_without_delimiter_is_kept_without_quoting(
    folder: Path, captions: list[str]
) -> None:
    rows = "".join(f"i{n}\ta.png\t{caption}\n" for n, caption in enumerate(captions))
    (folder / "t.tsv").write_text(f"id\timage\tcaption\n{rows}")
    items = read_items(folder / "t.tsv", no_quoting=True, id_column="id")
    expected = [[caption] if caption.strip() else [] for caption in captions]
    assert list(items.captions.values()) == expected


@pytest.mark.parametrize(
    "rows",
    ['a.png\t"start\nb.png\tx\n', 'a.png\t"start" and more\n', 'a.png\tx\nb.png\t"\nc.png\ty\n'],
)
def test_unbalanced_quotes_are_reported_with_what_to_do(folder: Path, rows: str) -> None:
    (folder / "t.tsv").write_text(f"image\tcaption\n{rows}")
    items = read_items(folder / "t.tsv")
    (reason,) = items.rejects.values()
    assert reason.endswith("; if quotes are part of the texts, read it with `no_quoting`")
    items = read_items(folder / "t.tsv", no_quoting=True)
    assert (len(items.ids), items.rejects) == (rows.count("\n"), {})


def test_unbalanced_quotes_of_the_header_are_reported(folder: Path) -> None:
    (folder / "t.csv").write_text('image,"caption\na.png,x\n')
    with pytest.raises(SourceError, match=r"the header of .*t\.csv is not CSV: .*`no_quoting`$"):
        open_source(folder / "t.csv")


@pytest.mark.parametrize("options", [{}, {"image_column": "image"}, {"caption_columns": ("n",)}])
@pytest.mark.parametrize(
    ("suffix", "delimiter"),
    [("csv", ";"), ("csv", "\t"), ("csv", "|"), ("tsv", ","), ("tsv", ";"), ("tsv", "|")],
)
def test_another_delimiter_is_reported_with_what_to_do(
    folder: Path, suffix: str, delimiter: str, options: dict[str, object]
) -> None:
    path = folder / f"t.{suffix}"
    path.write_text(f"image{delimiter}n\na.png{delimiter}1\n")
    with pytest.raises(SourceError, match=r"one column, .*, give that as `delimiter`$") as error:
        open_source(path, SourceOptions(**options))  # type: ignore[arg-type]
    assert f"separated by {delimiter!r}" in str(error.value)
    assert read_items(path, delimiter=delimiter)["a.png"]["metadata"] == {"n": 1}


def test_a_chosen_delimiter_is_not_doubted(folder: Path) -> None:
    (folder / "t.csv").write_text("image;n\na.png\n")
    items = read_items(folder / "t.csv", delimiter=",", image_column="image;n")
    assert items.ids == ["a.png"]


def test_one_column_without_another_delimiter_is_a_table(folder: Path) -> None:
    (folder / "t.csv").write_text("image\na.png\n")
    assert read_items(folder / "t.csv").ids == ["a.png"]
