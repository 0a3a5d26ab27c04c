"""Graphs of each format as functions of numpy arrays. All run on the CPU.

OMP_NUM_THREADS limits the threads of each runtime, as it does torch's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors
from mm_milvus.choices import ExportFormat
from mm_milvus.errors import EncoderError
from mm_milvus.extras import require_extra
from mm_milvus.text import first_line

Graph = Callable[[Sequence[NDArray[np.generic]]], Vectors]
"""Maps the inputs, in the order of the graph, to float32 (n, dim) of unit length. It may be called
from any thread."""

RUNTIMES: dict[ExportFormat, str] = {
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "torchscript": "torch",
}
"""The module that runs each format. But for torch, an extra of the format's name brings it."""


def import_runtime(kind: ExportFormat) -> Any:
    """Import the module that runs graphs of a format.

    Raises:
        MissingExtraError: When it is not installed.
        EncoderError: When it is installed and cannot be imported.
    """
    # Otherwise ONNX Runtime, once imported, stores a device id in the home folder and reports use.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if kind != "torchscript":
        require_extra(kind, RUNTIMES[kind], f"a model in the format {kind}")
    try:
        return import_module(RUNTIMES[kind])
    except ImportError as error:
        raise EncoderError(
            f"{RUNTIMES[kind]} cannot be imported ({first_line(error)}); install it again"
        ) from error


def open_graph(path: Path, kind: ExportFormat) -> Graph:
    """Read a graph.

    Args:
        path: The file of the graph.
        kind: Its format.

    Raises:
        EncoderError: When the runtime cannot read the file.
        MissingExtraError: When the runtime is not installed.
    """
    runtime = import_runtime(kind)
    try:
        return _OPENERS[kind](runtime, path)
    except Exception as error:
        raise EncoderError(
            f"{path}: {RUNTIMES[kind]} {runtime.__version__} cannot open it "
            f"({first_line(error)}); update that library, or export the model again"
        ) from error


def _thread_limit() -> int:
    """Return the number of threads that a graph may use; 0 leaves it to the runtime."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return int(threads) if threads.isdecimal() else 0


def _open_onnx(onnxruntime: Any, path: Path) -> Graph:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = _thread_limit()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]

    def run(inputs: Sequence[NDArray[np.generic]]) -> Vectors:
        rows: Vectors = session.run(None, dict(zip(names, inputs, strict=True)))[0]
        return rows

    return run


@cache
def _openvino_core(openvino: Any) -> Any:
    """Return the only `openvino.Core` of this process, which is kept until its end.

    The CPU plug-in of a core installs another signal stack for the thread. When one of several
    cores is deleted, the stack that it restores may be gone, and then the next Ctrl-C is a
    segmentation fault.
    """
    return openvino.Core()


def _open_openvino(openvino: Any, path: Path) -> Graph:
    # By default it computes in bfloat16 on CPUs that can, and vectors would depend on the machine.
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": str(_thread_limit()),
    }
    model = _openvino_core(openvino).compile_model(path, "CPU", options)
    lock = threading.Lock()

    def run(inputs: Sequence[NDArray[np.generic]]) -> Vectors:
        # The model has a single request, whose result the next call overwrites.
        with lock:
            rows: Vectors = model(list(inputs))[0].copy()
        return rows

    return run


def _open_torchscript(torch: Any, path: Path) -> Graph:
    module = torch.jit.load(path, map_location="cpu").eval()

    def run(inputs: Sequence[NDArray[np.generic]]) -> Vectors:
        with torch.inference_mode():
            # A copy: the caller's array may be read-only.
            rows: Vectors = module(*map(torch.tensor, inputs)).numpy()
        return rows

    return run


_OPENERS: dict[ExportFormat, Callable[[Any, Path], Graph]] = {
    "onnx": _open_onnx,
    "openvino": _open_openvino,
    "torchscript": _open_torchscript,
}
