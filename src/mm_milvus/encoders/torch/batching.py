"""Batches that fit the device: their size is found by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from mm_milvus.errors import EncoderError

Result = TypeVar("Result")


class FittingBatches:
    """Cuts work into batches, and halves them when the device runs out of memory.

    size  the most items in a batch; it falls when a batch did not fit, and stays there
    """

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        """`size` is at least 1."""
        self.size = size

    def run(self, call: Callable[[slice], Result], total: int) -> Iterator[tuple[slice, Result]]:
        """Call `call` on slices of [0, total), in order, and yield each with its result.

        Where `call` raises torch.OutOfMemoryError, the same items are tried again in batches of
        half the length. Raises EncoderError when a single item does not fit.
        """
        start = 0
        while start < total:
            batch = slice(start, min(start + self.size, total))
            try:
                result = call(batch)
            except torch.OutOfMemoryError as error:
                if batch.stop - batch.start == 1:
                    raise EncoderError(
                        "the device has no memory for a single item; free some, or use device cpu"
                    ) from error
                self.size = (batch.stop - batch.start) // 2
            else:
                yield batch, result
                start = batch.stop
                continue
            # Only here is the error gone, and with it the frames that hold the failed batch.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
