"""A cheap encoder, for tests of the code around an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from mm_milvus.arrays import Pixels, Vectors
from mm_milvus.encoders.base import EncoderSpec, check_pixels
from mm_milvus.images.preprocessing import Preprocessing

DIM = 32
SIDE = 8


class PlainEncoder:
    """Fixed random projections of small pixels, and of the byte counts of texts."""

    batch_size = 16
    spec = EncoderSpec(
        id="plain",
        fingerprint=blake2b(b"plain", digest_size=8).hexdigest(),
        dim=DIM,
        preprocessing=Preprocessing(SIDE, SIDE, None, "box", (0, 0, 0), (1, 1, 1)),
        max_tokens=1000,
    )

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._image_weights = random.standard_normal((SIDE * SIDE * 3 + 1, DIM))
        self._text_weights = random.standard_normal((257, DIM))

    def encode_images(self, pixels: Pixels) -> Vectors:
        check_pixels(self.spec, pixels)
        flat = pixels.reshape(len(pixels), SIDE * SIDE * 3) / 255 - 0.5
        return _unit(_with_bias(flat) @ self._image_weights)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        counts = [np.bincount(np.frombuffer(t.encode(), np.uint8), minlength=256) for t in texts]
        return _unit(_with_bias(np.reshape(counts, (-1, 256))) @ self._text_weights)


def _with_bias(rows: np.ndarray) -> np.ndarray:
    return np.hstack([rows, np.ones((len(rows), 1))])


def _unit(rows: np.ndarray) -> Vectors:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
