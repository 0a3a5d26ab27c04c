"""Array types: the shapes and dtypes that encoders, store and search exchange."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Images as an encoder takes them: uint8, (n, height, width, 3), RGB."""

Vector = NDArray[np.float32]
"""One embedding: float32, (dim,), of unit length."""

Vectors = NDArray[np.float32]
"""Embeddings: float32, (n, dim), each row of unit length."""
