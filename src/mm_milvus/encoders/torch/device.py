"""Torch devices: how to choose one, its dtype, and batches that fit into its memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from mm_milvus.errors import EncoderError
from mm_milvus.text import first_line

CPU_BATCH = 32
GPU_BATCH = 256

Result = TypeVar("Result")


def torch_device(name: str | None) -> torch.device:
    """Return the device of a name: "cpu", "cuda", "cuda:1"; None is the GPU where there is one.

    Raises:
        EncoderError: When this machine has no such device.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EncoderError(
            f"the device {name} cannot be used here ({first_line(error)}); use cpu"
        ) from error
    return device


def best_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 for a GPU that supports it, else float32."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return torch.float32


def default_batch_size(device: torch.device) -> int:
    """Return the number of items per model call where the user names none."""
    return CPU_BATCH if device.type == "cpu" else GPU_BATCH


class FittingBatches:
    """Splits work into batches, and halves them when the device runs out of memory.

    Attributes:
        size: Maximum number of items in a batch; it falls when a batch did not fit, and stays.
    """

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        """Start with batches of `size` items, at least 1."""
        self.size = size

    def run(self, call: Callable[[slice], Result], total: int) -> Iterator[tuple[slice, Result]]:
        """Call a function on consecutive slices of [0, total).

        Where the call raises torch.OutOfMemoryError, the same items are tried again in batches of
        half the length.

        Args:
            call: Encodes the items of a slice.
            total: Number of items.

        Yields:
            Each slice with its result, in order.

        Raises:
            EncoderError: When a single item does not fit.
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
            # Outside of the except block the error is gone, and with it the frames that hold the
            # failed batch; only now can its memory be released.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
