"""Arrow lists of numbers to numpy vectors and back, without a Python object for each number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mm_milvus.arrays import Vector


def is_vector(kind: pa.DataType) -> bool:
    """Return whether a type is a list of floats, of any length."""
    return is_list(kind) and pa.types.is_floating(kind.value_type)


def is_list(kind: pa.DataType) -> bool:
    """Return whether a type is one of Arrow's lists."""
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def to_numpy(column: pa.Array) -> list[Vector]:
    """Return a float32 vector per row; a null row is empty, and a null number in one is NaN."""
    flat = column.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
    return [flat[start:stop] for start, stop in _bounds(column)]


def to_nested(column: pa.Array) -> list[list[Vector]]:
    """Return a list of float32 vectors per row of a list of lists."""
    flat = to_numpy(column.flatten())
    return [flat[start:stop] for start, stop in _bounds(column)]


def _bounds(column: pa.Array) -> list[tuple[int, int]]:
    # Null rows add nothing to the flattened values, whatever their buffers hold.
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    stops = np.cumsum(lengths)
    return list(zip((stops - lengths).tolist(), stops.tolist(), strict=True))


def from_numpy(vectors: Sequence[Vector | None], dim: int) -> pa.Array:
    """Return a fixed-size list of `dim` float32 per vector, and null for None."""
    filler = np.zeros(dim, np.float32)
    whole = [filler if vector is None else vector for vector in vectors]
    flat: NDArray[Any] = np.concatenate(whole) if whole else np.empty(0, np.float32)
    is_null = pa.array([vector is None for vector in vectors], pa.bool_())
    return pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), dim, mask=is_null)


def from_nested(rows: Sequence[Sequence[Vector]], dim: int) -> pa.Array:
    """Return a list of fixed-size lists per row."""
    offsets = np.cumsum([0, *map(len, rows)])
    flat = from_numpy([vector for row in rows for vector in row], dim)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)
