"""Torch modules to the graph files of each format."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mm_milvus.choices import ExportFormat
from mm_milvus.encoders.exported.config import GRAPH_SUFFIX
from mm_milvus.encoders.exported.runtimes import library
from mm_milvus.encoders.torch.encoder import TextTower
from mm_milvus.errors import EncoderError
from mm_milvus.text import first_line

EXPORT_LIBRARIES: dict[ExportFormat, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
    "torchscript": (),
}

LARGEST_FILE = 2**31 - 2**24
"""An ONNX file is one protocol buffer of under 2 GiB; larger weights lie in a file beside it."""

QUANTISED = ("MatMul", "Gemm", "Gather")
"""Matrix products and tables. Convolutions stay float: without calibration on a user's pictures,
ONNX Runtime has a slow integer convolution only."""


class TextGraph(nn.Module):
    """A text tower whose inputs have an order instead of names."""

    def __init__(self, tower: TextTower, fields: Sequence[str]) -> None:
        """`fields` are the tower's, in the order of the graph's inputs."""
        super().__init__()
        self.tower = tower
        self.fields = tuple(fields)

    def forward(self, *values: Tensor) -> Tensor:
        """Embed tokens."""
        rows: Tensor = self.tower(**dict(zip(self.fields, values, strict=True)))
        return rows


def check_libraries(kind: ExportFormat, *, int8: bool) -> None:
    """Raise EncoderError where a model cannot be exported that way here."""
    if int8 and kind == "openvino":
        raise EncoderError(
            "an OpenVINO model cannot be quantised to int8 here (that takes the whole of nncf); "
            "export to onnx with --int8, or to openvino without it"
        )
    for name in EXPORT_LIBRARIES[kind]:
        library(name, kind)


def write_graph(
    module: nn.Module,
    inputs: Sequence[Tensor],
    free: Sequence[int],
    path: Path,
    kind: ExportFormat,
    *,
    int8: bool,
) -> None:
    """Write a module with all of its weights.

    inputs  a batch of two, by which the module is traced
    free    the dimensions of the inputs that may have any size
    path    without a suffix: the kind gives it
    int8    quantise the weights of matrix products to 8 bits, and their inputs as they come

    Raises EncoderError where the module cannot be traced.
    """
    target = path.with_name(path.name + GRAPH_SUFFIX[kind])
    with _silence(), torch.no_grad():
        try:
            _WRITERS[kind](module.eval(), tuple(inputs), tuple(free), target, int8)
        except Exception as error:
            raise EncoderError(
                f"the model cannot be written as {target.name} "
                f"({type(error).__name__}: {first_line(error)}); choose another format"
            ) from error


def _onnx(
    module: nn.Module, inputs: tuple[Tensor, ...], free: tuple[int, ...], path: Path, int8: bool
) -> None:
    program = _program(module, inputs, free)
    size = sum(each.nbytes for each in program.state_dict.values())
    large = size > LARGEST_FILE
    if not int8:
        torch.onnx.export(program, f=path, dynamo=True, external_data=large, verbose=False)
        return
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole = path.with_name(f"float-{path.name}")
    torch.onnx.export(program, f=whole, dynamo=True, external_data=large, verbose=False)
    model = onnx.load(whole)
    # It turns weights round, and then stumbles over the shapes that were noted of them.
    del model.graph.value_info[:]
    quantize_dynamic(
        model,
        path,
        op_types_to_quantize=list(QUANTISED),
        per_channel=True,
        # 7 bits: products of 8 overflow on CPUs without VNNI, and vectors would hang on the CPU.
        reduce_range=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=large,
    )
    for file in path.parent.glob(f"{whole.name}*"):
        file.unlink()


def _openvino(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    free: tuple[int, ...],
    path: Path,
    int8: bool,  # noqa: ARG001
) -> None:
    import openvino

    model = openvino.convert_model(_program(module, inputs, free))
    openvino.save_model(model, path, compress_to_fp16=False)


def _torchscript(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    free: tuple[int, ...],  # noqa: ARG001
    path: Path,
    int8: bool,
) -> None:
    if int8:
        from torch.ao.quantization import quantize_dynamic

        module = quantize_dynamic(deepcopy(module), {nn.Linear}, dtype=torch.qint8)  # type: ignore[no-untyped-call]
    torch.jit.trace(module, inputs, check_trace=False).save(str(path))  # type: ignore[no-untyped-call]


_Writer = Callable[[nn.Module, tuple[Tensor, ...], tuple[int, ...], Path, bool], None]
_WRITERS: dict[ExportFormat, _Writer] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "torchscript": _torchscript,
}


def _program(module: nn.Module, inputs: tuple[Tensor, ...], free: tuple[int, ...]) -> Any:
    sizes = dict.fromkeys(free, torch.export.Dim.DYNAMIC)
    # A module of *values has one argument, the tuple of them.
    shapes: Any = [sizes for _ in inputs]
    return torch.export.export(
        module,
        inputs,
        dynamic_shapes=(tuple(shapes),) if isinstance(module, TextGraph) else tuple(shapes),
    )


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporters' remarks away: what matters is checked, or raised."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
