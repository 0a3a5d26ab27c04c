"""What tests of encoders ask of vectors."""

from __future__ import annotations

import numpy as np


def are_unit_rows(vectors: np.ndarray, count: int, dim: int) -> bool:
    lengths = np.linalg.norm(vectors, axis=1)
    is_float32 = vectors.dtype == np.float32 and vectors.shape == (count, dim)
    return is_float32 and bool(np.allclose(lengths, 1, atol=1e-5))


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left * right).sum(axis=1)
