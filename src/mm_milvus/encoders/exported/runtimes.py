"""Graphs of each format, as functions of numpy arrays. All run on the CPU.

OMP_NUM_THREADS bounds the threads of each, as it does torch's.
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
from mm_milvus.text import first_line

Graph = Callable[[Sequence[NDArray[np.generic]]], Vectors]
"""Maps the inputs, in the graph's order, to float32 unit rows; may be called from any thread."""

LIBRARIES: dict[ExportFormat, str] = {
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "torchscript": "torch",
}
"""What runs a format. Each is an optional dependency of the format's name, but for torch."""


def runtime(kind: ExportFormat) -> Any:
    """The library that runs graphs of the format; raises EncoderError where it is missing."""
    return library(LIBRARIES[kind], kind)


def library(name: str, kind: ExportFormat) -> Any:
    """A library that the format needs; raises EncoderError where it is missing."""
    # Else ONNX Runtime, once imported, keeps a device id in the home folder and reports its use.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        return import_module(name)
    except ImportError as error:
        raise EncoderError(
            f"a model in the format {kind} needs {name}, which is not installed; "
            f"pip install 'mm-milvus[{kind}]'"
        ) from error


def open_graph(path: Path, kind: ExportFormat) -> Graph:
    """Read a graph; raises EncoderError where its runtime is missing, or cannot read it."""
    module = runtime(kind)
    try:
        return _OPENERS[kind](module, path)
    except Exception as error:
        raise EncoderError(
            f"{path}: {LIBRARIES[kind]} {module.__version__} cannot open it "
            f"({first_line(error)}); update that library, or export the model again"
        ) from error


def _threads() -> int:
    """How many threads a graph may take; 0: as many as its runtime likes."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return int(threads) if threads.isdecimal() else 0


def _open_onnx(onnxruntime: Any, path: Path) -> Graph:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = _threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(inputs: Sequence[NDArray[np.generic]]) -> Vectors:
        rows: Vectors = session.run(None, dict(zip(names, inputs, strict=True)))[0]
        return rows

    return run


@cache
def _core(openvino: Any) -> Any:
    """The one of this process, kept to its end.

    Its CPU plug-in gives the thread another stack for signals. When one of several cores goes,
    what it puts back may be gone itself, and then the next Ctrl-C is a segmentation fault.
    """
    return openvino.Core()


def _open_openvino(openvino: Any, path: Path) -> Graph:
    # By itself it computes in bfloat16 on a CPU that can, and then vectors hang on the machine.
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": str(_threads()),
    }
    model = _core(openvino).compile_model(path, "CPU", options)
    lock = threading.Lock()

    def run(inputs: Sequence[NDArray[np.generic]]) -> Vectors:
        # The model has one request of its own, whose result the next call overwrites.
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
