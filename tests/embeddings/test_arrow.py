"""Arrow lists to numpy and back: null rows, empty rows, slices, other types of lists."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mm_milvus.embeddings.arrow import from_nested, from_numpy, to_nested, to_numpy


def test_vectors_are_read_back_unchanged():
    vectors = list(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    column = from_numpy(vectors, 3)
    assert column.type == pa.list_(pa.float32(), 3)
    np.testing.assert_array_equal(to_numpy(column), vectors)
    np.testing.assert_array_equal(to_numpy(column.slice(2, 2)), vectors[2:4])
    nested = from_nested([vectors[:2], [], vectors[2:]], 3)
    assert [len(row) for row in to_nested(nested)] == [2, 0, 3]
    np.testing.assert_array_equal(to_nested(nested.slice(2))[0], vectors[2:])
    assert to_numpy(from_numpy([], 3)) == []


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float16())]
)
def test_other_types_of_lists_are_read(kind):
    rows = to_numpy(pa.array([[1.0, 2.0], None, [], [3.0, None]], kind))
    assert [row.tolist() for row in rows[:3]] == [[1, 2], [], []]
    assert rows[3][0] == 3
    assert np.isnan(rows[3][1])
    assert all(row.dtype == np.float32 for row in rows)
