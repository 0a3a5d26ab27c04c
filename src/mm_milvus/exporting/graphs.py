"""From torch modules to the graph files of each format."""

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
from mm_milvus.encoders.exported.runtimes import import_runtime
from mm_milvus.encoders.torch.encoder import TextTower
from mm_milvus.errors import EncoderError, OptionError
from mm_milvus.extras import EXTRAS, require_extra
from mm_milvus.text import first_line

LARGEST_FILE = 2**31 - 2**24
"""An ONNX file is one protocol buffer of under 2 GiB; larger weights go into a separate file."""

QUANTISED = ("MatMul", "Gemm", "Gather")
"""Operators that int8 quantises: matrix products and table lookups. Convolutions stay float:
without calibration on a user's images, ONNX Runtime has only a slow integer convolution."""


class TextGraph(nn.Module):
    """A text tower with positional inputs instead of named ones."""

    def __init__(self, tower: TextTower, fields: Sequence[str]) -> None:
        """Wrap a tower.

        Args:
            tower: The text tower.
            fields: The names of its inputs, in the order of the graph's inputs.
        """
        super().__init__()
        self.tower = tower
        self.fields = tuple(fields)

    def forward(self, *values: Tensor) -> Tensor:
        """Embed tokens: integers (n, tokens) each, to float32 (n, dim) of unit length."""
        rows: Tensor = self.tower(**dict(zip(self.fields, values, strict=True)))
        return rows


def check_libraries(kind: ExportFormat, *, int8: bool) -> None:
    """Check that this installation can export to a format.

    Raises:
        OptionError: When the format has no int8.
        MissingExtraError: When a library of the format is not installed.
    """
    if int8 and kind == "openvino":
        raise OptionError(
            "an OpenVINO model cannot be quantised to int8 here (that needs the package nncf); "
            "use `int8` with the `format` onnx, or export to openvino without it"
        )
    # TorchScript has no extra: torch is always there.
    for module in EXTRAS.get(kind, ()):
        require_extra(kind, module, f"an export to {kind}")
    import_runtime(kind)


def write_graph(
    module: nn.Module,
    inputs: Sequence[Tensor],
    free: Sequence[int],
    path: Path,
    kind: ExportFormat,
    *,
    int8: bool,
) -> None:
    """Write a module, with all of its weights, as a graph.

    Args:
        module: An image tower, or a `TextGraph`.
        inputs: A batch of two items, with which the module is traced.
        free: The dimensions of the inputs that may have any size.
        path: The file without a suffix, which the format adds.
        kind: The format.
        int8: Quantise the weights of matrix products to 8 bits, and their inputs dynamically.

    Raises:
        EncoderError: When the module cannot be traced.
    """
    target = path.with_name(path.name + GRAPH_SUFFIX[kind])
    with _silenced(), torch.no_grad():
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
    size = sum(tensor.nbytes for tensor in program.state_dict.values())
    large = size > LARGEST_FILE
    if not int8:
        torch.onnx.export(program, f=path, dynamo=True, external_data=large, verbose=False)
        return
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole = path.with_name(f"float-{path.name}")
    torch.onnx.export(program, f=whole, dynamo=True, external_data=large, verbose=False)
    model = onnx.load(whole)
    # quantize_dynamic transposes weights, and then fails on the shapes recorded for them.
    del model.graph.value_info[:]
    quantize_dynamic(
        model,
        path,
        op_types_to_quantize=list(QUANTISED),
        per_channel=True,
        # 7 bits: products of 8 bits overflow on CPUs without VNNI, and vectors would depend on the
        # CPU.
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
    # A module that takes *values has a single argument, their tuple.
    shapes: Any = [sizes for _ in inputs]
    return torch.export.export(
        module,
        inputs,
        dynamic_shapes=(tuple(shapes),) if isinstance(module, TextGraph) else tuple(shapes),
    )


@contextmanager
def _silenced() -> Iterator[None]:
    """Silence the exporters inside the block: what matters is checked, or raised."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
