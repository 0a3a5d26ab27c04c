"""Rows by key, in files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_milvus.training.row_cache import RowCache


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.uint8])
def test_rows_come_back_by_key_in_any_order_and_after_reopening(tmp_path, dtype):
    rows = np.random.default_rng(0).integers(0, 200, (5, 3)).astype(dtype)
    cache = RowCache(tmp_path)
    assert cache.width == 0
    cache.add(["a", "b"], rows[:2])
    cache.add(["c", "d", "e"], rows[2:])
    for opened in (cache, RowCache(tmp_path)):
        assert opened.width == 3
        assert "d" in opened
        assert "x" not in opened
        taken = opened.take(["e", "a", "e", "c"])
        np.testing.assert_array_equal(taken, rows[[4, 0, 4, 2]])
        assert taken.dtype == dtype


def test_an_unfinished_file_is_ignored(tmp_path):
    RowCache(tmp_path).add(["a"], np.ones((1, 2), np.float32))
    (tmp_path / ".000001.arrow.tmp").write_bytes(b"ARROW1 torn")
    cache = RowCache(tmp_path)
    assert "a" in cache
    cache.add(["b"], np.zeros((1, 2), np.float32))
    assert "b" in RowCache(tmp_path)


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5), seed=st.integers(0, 999))
@settings(deadline=None)
def test_any_keys_are_taken_from_any_files(tmp_path_factory, sizes, seed):
    cache = RowCache(tmp_path_factory.mktemp("rows"))
    total = sum(sizes)
    rows = np.arange(total * 2, dtype=np.float32).reshape(total, 2)
    for start, size in zip(np.cumsum([0, *sizes]), sizes, strict=False):
        cache.add([str(n) for n in range(start, start + size)], rows[start : start + size])
    chosen = np.random.default_rng(seed).integers(0, total, 7)
    np.testing.assert_array_equal(cache.take([str(n) for n in chosen]), rows[chosen])
