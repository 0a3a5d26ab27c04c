"""What torch leaves on the table on a CPU: float32 inference two to three times as fast.

- It multiplies float32 matrices by MKL, which uses half of the vector width on CPUs that are not
  Intel's: oneDNN, which torch has beside it, does not.
- A convolution and its activation are two passes over the maps; oneDNN makes it one.
- Several cores share each product, and wait for the slowest of them after every one, which others
  who work beside them (decoders) make slow. Here each core has images of its own.
- What a layer frees goes back to the kernel, and the next one pays for each page of 4 kB anew:
  pages of 2 MB are 512 times fewer.

docs/measured/performance.md has the figures. Vectors stay the same but for rounding.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# torch reads it with its first tensor; a program that had tensors before keeps small pages.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

Result = TypeVar("Result")

_STARTING = threading.Lock()
"""A thread that uses torch for the first time while lanes start would have one core for good."""

_THERE = (
    platform.machine().lower() in ("x86_64", "amd64")
    and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    # What torch.compile makes of these layers; a torch without it goes the usual way.
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
)


@contextmanager
def inference() -> Iterator[None]:
    """`torch.inference_mode`, in which linear layers are oneDNN's; a decorator as well."""
    with torch.inference_mode(), _Linear():
        yield


def in_pieces(call: Callable[[slice], Result], total: int, most: int) -> list[Result]:
    """`call` of slices of [0, total) that are at most `most` long, in order, each with a core.

    A single slice has all of torch's threads. `call` runs in other threads: what it needs of
    torch's modes, it enters itself.
    """
    with _STARTING:
        threads = torch.get_num_threads()
        lanes = _lanes(threads) if min(threads, total) > 1 else None
    size = min(most, -(-total // threads))
    slices = [slice(start, min(start + size, total)) for start in range(0, total, size)]
    return list(map(call, slices) if lanes is None else lanes.map(call, slices))


@cache
def _lanes(count: int) -> ThreadPoolExecutor:
    """So many threads, in each of which torch uses one."""
    pool = ThreadPoolExecutor(count, "mm-milvus-encode", _use_one_core)
    started = threading.Barrier(count)
    list(pool.map(lambda _: started.wait(), range(count)))
    # It holds for the thread that says it, and for those that use torch for the first time.
    torch.set_num_threads(count)
    return pool


def _use_one_core() -> None:
    # The first question in a thread sets it to the program's number, and so has to come first.
    torch.get_num_threads()
    torch.set_num_threads(1)


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: int,
    padding: tuple[int, int],
    groups: int,
    relu6: bool,
) -> Tensor:
    """What `conv2d` gives, and `relu6` of it where asked, in one pass if it can be."""
    if _can(x, weight):
        activation, bounds = ("hardtanh", [0.0, 6.0]) if relu6 else ("none", [])
        maps: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, weight, bias, padding, [stride] * 2, [1, 1], groups, activation, bounds, ""
        )
        return maps
    maps = functional.conv2d(x, weight, bias, stride, padding, groups=groups)
    return functional.relu6(maps) if relu6 else maps


class _Linear(TorchFunctionMode):
    """Whatever calls `linear` inside of it, code of a model that is not ours as well."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is functional.linear and not kwargs and _can(*args[:2]):
            x, weight, bias = (*args, None)[:3]
            return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return func(*args, **(kwargs or {}))


def _can(x: Tensor, weight: Tensor) -> bool:
    """These have no gradient, and no place in a graph that is written to a file."""
    return (
        _THERE
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.numel() > 0
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    )
