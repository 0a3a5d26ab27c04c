"""The frozen towers of a pair, in inference: their features train a projection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mm_milvus.arrays import Pixels
from mm_milvus.encoders.base import encode_distinct
from mm_milvus.encoders.torch.cpu import inference
from mm_milvus.encoders.torch.device import CPU_BATCH, GPU_BATCH, FittingBatches
from mm_milvus.encoders.torch.encoder import ImageTower
from mm_milvus.encoders.torch.text_input import token_count
from mm_milvus.encoders.trained.pair import Pair
from mm_milvus.training.row_cache import Rows


class FrozenTowers:
    """Computes the features of both towers of a pair.

    Features are float16: half of the disk space, and no worse to learn from.
    """

    def __init__(self, pair: Pair, device: torch.device) -> None:
        """Use the towers of a pair on the device that they were loaded on."""
        self._pair = pair
        self._device = device
        self._images = ImageTower(pair.image, pair.preprocessing).to(device)
        is_cpu = device.type == "cpu"
        self._image_batches = FittingBatches(pair.cpu_piece if is_cpu else GPU_BATCH)
        self._text_batches = FittingBatches(CPU_BATCH if is_cpu else GPU_BATCH)

    @inference()
    def images(self, pixels: Pixels) -> Rows:
        """Compute image features: uint8 (n, height, width, 3) to float16 (n, image dim)."""
        batches = self._image_batches.run(
            lambda rows: self._images.unnormalised(torch.from_numpy(pixels[rows]).to(self._device)),
            len(pixels),
        )
        return np.concatenate([result.half().cpu().numpy() for _, result in batches])

    @inference()
    def texts(self, texts: Sequence[str]) -> Rows:
        """Compute the features of n texts: float16 (n, text dim)."""
        return encode_distinct(texts, self._pair.text_input.tokenize, token_count, self._encode)

    def _encode(self, tokens: Sequence[dict[str, list[int]]]) -> Rows:
        batches = self._text_batches.run(lambda rows: self._encode_batch(tokens[rows]), len(tokens))
        return np.concatenate([result for _, result in batches])

    def _encode_batch(self, tokens: Sequence[dict[str, list[int]]]) -> Rows:
        batch = self._pair.text_input.pad(tokens)
        fields = {name: values.to(self._device) for name, values in batch.items()}
        rows: Rows = self._pair.text(**fields).half().cpu().numpy()
        return rows
