"""Faster float32 inference on x86 CPUs: two to three times the speed of plain torch.

- torch multiplies float32 matrices with MKL, which uses half of the vector width on CPUs that are
  not Intel's. oneDNN, which torch also contains, uses all of it.
- A convolution and its activation are two passes over the feature maps; oneDNN fuses them.
- By default all cores share each product, and every product waits for the slowest core, which is
  slow when other work, such as decoding, runs in parallel. Here each core has its own images.
- Memory that a layer frees returns to the kernel, and the next layer pays for each 4 kB page
  again; there are 512 times fewer pages of 2 MB.

docs/measured/performance.md has the figures. Vectors are equal to plain torch's up to rounding.
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

# torch reads this with its first tensor; a program that made tensors before keeps small pages.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

Result = TypeVar("Result")

_STARTING = threading.Lock()
"""Held while worker threads start: a thread that uses torch for the first time in that moment
would be limited to one core for good."""

_HAS_ONEDNN = (
    platform.machine().lower() in ("x86_64", "amd64")
    and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    # Private operators that torch.compile uses; a torch without them runs the usual way.
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
)


@contextmanager
def inference() -> Iterator[None]:
    """Enter `torch.inference_mode` with linear layers by oneDNN; usable as a decorator as well."""
    with torch.inference_mode(), _OneDnnLinear():
        yield


def in_pieces(call: Callable[[slice], Result], total: int, max_items: int) -> list[Result]:
    """Call a function on slices of [0, total) in parallel, with one core for each call.

    A single slice runs in the calling thread with all of torch's threads.

    Args:
        call: Runs in worker threads, so it must enter any torch mode that it needs itself.
        total: Number of items, at least 1.
        max_items: Maximum length of a slice.

    Returns:
        The results, in the order of the slices.
    """
    with _STARTING:
        threads = torch.get_num_threads()
        pool = _worker_pool(threads) if min(threads, total) > 1 else None
    size = min(max_items, -(-total // threads))
    slices = [slice(start, min(start + size, total)) for start in range(0, total, size)]
    return list(map(call, slices) if pool is None else pool.map(call, slices))


@cache
def _worker_pool(count: int) -> ThreadPoolExecutor:
    """Return a pool of `count` threads in each of which torch uses one core."""
    pool = ThreadPoolExecutor(count, "mm-milvus-encode", _use_one_core)
    started = threading.Barrier(count)
    list(pool.map(lambda _: started.wait(), range(count)))
    # The setting applies to the calling thread, and to threads that use torch for the first time.
    torch.set_num_threads(count)
    return pool


def _use_one_core() -> None:
    # The first get_num_threads of a thread sets it to the program's number, so it must come first.
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
    """Return `conv2d`, followed by ReLU6 if asked for, in one pass where oneDNN can.

    Args:
        x: (n, channels, height, width).
        weight: (output channels, channels / groups, kernel, kernel).
        bias: (output channels,), or None.
        stride: In both directions.
        padding: Rows and columns of zeros on each side.
        groups: As in `torch.nn.functional.conv2d`.
        relu6: Whether to clip the result to [0, 6].

    Returns:
        (n, output channels, output height, output width).
    """
    if _can_use_onednn(x, weight):
        activation, bounds = ("hardtanh", [0.0, 6.0]) if relu6 else ("none", [])
        maps: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, weight, bias, padding, [stride] * 2, [1, 1], groups, activation, bounds, ""
        )
        return maps
    maps = functional.conv2d(x, weight, bias, stride, padding, groups=groups)
    return functional.relu6(maps) if relu6 else maps


class _OneDnnLinear(TorchFunctionMode):
    """Replaces `linear` inside of it by oneDNN's, also in code of models that is not ours."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is functional.linear and not kwargs and _can_use_onednn(*args[:2]):
            x, weight, bias = (*args, None)[:3]
            return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return func(*args, **(kwargs or {}))


def _can_use_onednn(x: Tensor, weight: Tensor) -> bool:
    """Return whether oneDNN's operators apply: they have no gradient, and cannot be exported."""
    return (
        _HAS_ONEDNN
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.numel() > 0
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    )
