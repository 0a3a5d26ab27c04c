"""The limits of a row, the same for every engine, and the choice of index parameters."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_milvus.errors import ItemError
from mm_milvus.limits import check_text, column_value, parse_metadata
from mm_milvus.schema import Field
from mm_milvus.store.index import choose_nlist, is_stale, settings_up_to
from mm_milvus.store.rows import BATCH_BYTES, BATCH_ROWS, Row, batches


def row(number: int, size: int) -> Row:
    return Row(str(number), "i", "u", "h", "d", np.zeros(4, np.float32), {"x": "y" * size})


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.lists(st.sampled_from([1, 1000, 1_000_000, BATCH_BYTES + 1]), max_size=60))
def test_batches_keep_the_order_and_the_bounds(sizes):
    rows = [row(number, size) for number, size in enumerate(sizes)]
    result = list(batches(rows))
    assert [row.id for batch in result for row in batch] == [row.id for row in rows]
    for batch in result:
        assert 1 <= len(batch) <= BATCH_ROWS
        assert len(batch) == 1 or sum(row.size for row in batch) <= BATCH_BYTES


def test_a_text_is_measured_in_bytes_not_characters():
    check_text(Field.ITEM_ID, "é" * 512)
    with pytest.raises(ItemError, match="item_id is 1,026 bytes long, over the limit of 1,024"):
        check_text(Field.ITEM_ID, "é" * 513)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1]", "metadata is a JSON list, not an object"),
        ("{", "metadata is not JSON"),
        ('{"a": NaN}', "NaN is not allowed"),
        (json.dumps({"a": "x" * 65_536}), "over the limit of 65,536"),
    ],
)
def test_bad_metadata_is_rejected_with_the_reason(text, reason):
    with pytest.raises(ItemError, match=reason):
        parse_metadata(text)


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        ("double", 3, 3.0),
        ("double", 2**60, 2.0**60),
        ("varchar", "red", "red"),
        ("int64", 1 - 2**63, 1 - 2**63),
        ("int64", 3.0, 3),
        ("bool", False, False),
    ],
)
def test_a_value_fits_its_column(kind, value, stored):
    for nullable in (True, False):
        assert column_value(kind, value, nullable=nullable) == stored


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("double", "3"),
        ("double", True),
        ("double", 2**53 + 1),
        ("double", None),
        ("varchar", 3),
        ("int64", 2**63),
        ("int64", -(2**63)),
        ("int64", 1.5),
        ("int64", True),
        ("bool", 1),
        ("varchar", ["red"]),
    ],
)
def test_a_value_that_a_column_would_not_give_back_does_not_fit(kind, value):
    for nullable in (True, False):
        assert column_value(kind, value, nullable=nullable) is None


def test_a_nullable_column_takes_every_text_that_metadata_can_have():
    assert column_value("varchar", "x" * 65_535, nullable=True) == "x" * 65_535
    assert column_value("varchar", "x" * 5000, nullable=False) is None


@given(st.integers(0, 10**9))
def test_nlist_is_within_the_engines_bounds(rows):
    nlist = choose_nlist(rows)
    assert 1 <= nlist <= 65_536
    assert nlist <= max(1, 4 * math.sqrt(rows))


def test_nlist_of_a_large_collection_is_four_times_the_root():
    assert choose_nlist(1_000_000) == 4000


def test_an_index_is_stale_once_nlist_is_off_by_more_than_two():
    assert is_stale({"nlist": 10}, {"nlist": 21})
    assert is_stale({"nlist": 21}, {"nlist": 10})
    assert not is_stale({"nlist": 10}, {"nlist": 20})
    assert not is_stale({}, {})


def test_settings_rise_by_a_half_and_a_third_up_to_the_largest():
    assert settings_up_to(1) == [1]
    assert settings_up_to(20) == [1, 2, 3, 4, 6, 8, 12, 16, 20]
    assert settings_up_to(64, smallest=16) == [16, 24, 32, 48, 64]
