"""Opening a source by its path, reading images by URI, and batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mm_milvus.errors import SourceError
from mm_milvus.files import read_image
from mm_milvus.sources.base import MAX_ROWS
from mm_milvus.sources.open import open_source

from .conftest import read_items


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "does not exist: check the path"),
        ("nowhere.csv", "does not exist: check the path"),
        ("notes.md", "no known kind: give "),
        ("pattern-*.csv", "no file matches"),
    ],
)
def test_a_path_that_cannot_be_opened_is_rejected_in_one_line(
    tmp_path: Path, path: str, message: str
) -> None:
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(SourceError, match=message) as error:
        open_source(tmp_path / path)
    assert str(tmp_path / path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_package_of_a_filesystem_is_named() -> None:
    with pytest.raises(SourceError, match=r"pip install s3fs$"):
        open_source("s3://bucket/images")


def test_an_unknown_filesystem_is_rejected() -> None:
    with pytest.raises(SourceError, match=r"nope://x cannot be opened: .*; check the URI"):
        open_source("nope://x")


def test_an_image_can_be_read_by_the_uri_of_its_item(tmp_path: Path, memory: Any) -> None:
    (tmp_path / "a#b.png").write_bytes(b"A")
    memory.pipe("/d/b.png", b"B")
    assert read_image(read_items(tmp_path)["a#b.png"]["uri"]) == b"A"
    assert read_image(read_items("memory://d")["b.png"]["uri"]) == b"B"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("/no/a.png", "no such file; check the path"),
        ("/no/t.parquet#row=3", "inside a table or shard"),
        ("/no/s.tar.gz#d/0.jpg", "inside a table or shard"),
        ("memory://no/a.png", "cannot be read"),
    ],
)
def test_an_image_that_cannot_be_read_by_its_uri(uri: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_image(uri)


MIB = 2**20


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 10, 100, 1000]), min_size=1, max_size=200),
    large=st.lists(st.integers(0, 199), max_size=4),
)
def test_batches_are_bounded_ordered_and_complete(
    tmp_path: Path, sizes: list[int], large: list[int]
) -> None:
    for index in large:
        if index < len(sizes):
            sizes[index] = 12 * MIB
    images = [b"x" * size for size in sizes]
    pq.write_table(pa.table({"image": images}), tmp_path / "set.parquet", compression="snappy")
    batches = list(open_source(tmp_path / "set.parquet").batches())
    for batch in batches:
        assert 1 <= batch.num_rows <= MAX_ROWS
        assert batch.num_rows == 1 or batch.nbytes <= 33 * MIB
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert [row["item_id"] for row in rows] == [f"row-{n + 1}" for n in range(len(sizes))]
    assert [len(row["image"] or b"") for row in rows] == sizes
    assert [row["rejected"] is None for row in rows] == [size > 0 for size in sizes]


def test_many_files_are_read_in_order_and_a_consumer_may_stop_early(tmp_path: Path) -> None:
    names = [f"{number:04}.png" for number in range(300)]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    items = read_items(tmp_path)
    assert items.ids == names
    assert [row["image"].decode() for row in items.rows] == names
    stream = open_source(tmp_path).batches()
    assert next(stream).num_rows == MAX_ROWS
    stream.close()  # type: ignore[attr-defined]
