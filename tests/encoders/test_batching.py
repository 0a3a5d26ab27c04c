"""The batch size of a device is found automatically."""

from __future__ import annotations

import pytest
import torch

from mm_milvus.encoders.torch.device import FittingBatches
from mm_milvus.errors import EncoderError


class SmallDevice:
    """Doubles numbers, and has memory for `room` of them per call."""

    def __init__(self, numbers: list[int], room: int) -> None:
        self.numbers, self.room = numbers, room
        self.calls: list[int] = []

    def __call__(self, rows: slice) -> list[int]:
        batch = self.numbers[rows]
        self.calls.append(len(batch))
        if len(batch) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [2 * number for number in batch]


@pytest.mark.parametrize("total", [0, 1, 5, 64, 100])
@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize("room", [1, 3, 10, 5000])
def test_every_item_is_processed_once_and_in_order(total: int, size: int, room: int) -> None:
    batches = FittingBatches(size)
    numbers = list(range(total))
    done = [result for _, part in batches.run(SmallDevice(numbers, room), total) for result in part]
    assert done == [2 * number for number in numbers]


def test_the_size_that_fits_is_kept_for_the_next_call() -> None:
    batches = FittingBatches(64)
    device = SmallDevice(list(range(100)), room=20)
    list(batches.run(device, 100))
    assert batches.size == 16
    assert device.calls[:3] == [64, 32, 16]
    device.calls.clear()
    list(batches.run(device, 100))
    assert max(device.calls) == 16


def test_a_short_last_batch_does_not_lower_the_size() -> None:
    batches = FittingBatches(8)
    list(batches.run(SmallDevice(list(range(9)), room=8), 9))
    assert batches.size == 8


def test_a_single_item_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(EncoderError, match="no memory for a single item"):
        list(FittingBatches(4).run(SmallDevice([1, 2], room=0), 2))


def test_other_errors_are_raised_unchanged() -> None:
    def broken(rows: slice) -> None:
        raise ValueError(rows)

    with pytest.raises(ValueError, match="slice"):
        list(FittingBatches(4).run(broken, 2))
