"""Who may import whom: the arrows of the architecture."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "mm_milvus"
MODULES = sorted(SOURCE.rglob("*.py"))

BELOW = {
    *("errors", "schema", "keys", "images", "filters"),
    *("sources", "encoders", "embeddings", "store", "zeroshot"),
    *("errors", "schema", "keys", "images", "jpeg", "filters"),
    *("sources", "encoders", "embeddings", "store"),
}
"""The layers that know nothing of what is made of them."""

TORCH_PACKAGES = {"torch", "transformers", "torchvision", "safetensors", "tokenizers"}
RUNTIME_PACKAGES = {"onnx", "onnxruntime", "onnxscript", "openvino"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def layer(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_what_its_layer_may(path):
    used = imports(path)
    packages = {name.split(".")[0] for name in used}
    own = layer(path)
    assert "torchvision" not in packages
    if own not in {"encoders", "train"}:
        assert not packages & (TORCH_PACKAGES | RUNTIME_PACKAGES)
    if own != "store":
        assert not packages & {"pymilvus", "milvus_lite", "grpc"}
    if own != "cli":
        assert not [name for name in used if name.startswith("mm_milvus.cli")]
    if own == "search":
        assert not [name for name in used if name.startswith("mm_milvus.pipeline")]
    if own == "pipeline":
        assert not [name for name in used if name.startswith("mm_milvus.search")]
    if own == "evaluate":
        assert not [name for name in used if name.startswith("mm_milvus.pipeline")]
    if own in BELOW:
        above = tuple(f"mm_milvus.{name}" for name in ("pipeline", "search", "render", "evaluate"))
        above = ("mm_milvus.pipeline", "mm_milvus.search", "mm_milvus.render", "mm_milvus.health")
    if own == "inspect":
        beside = ("mm_milvus.pipeline", "mm_milvus.search", "mm_milvus.encoders")
        assert not [name for name in used if name.startswith(beside)]
    if own in BELOW:
        above = ("mm_milvus.pipeline", "mm_milvus.search", "mm_milvus.render", "mm_milvus.inspect")
        assert not [name for name in used if name.startswith(above)]
    if own in {"pipeline", "search"}:
        assert not [name for name in used if name.startswith("mm_milvus.health")]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_is_small_enough_to_be_about_one_thing(path):
    assert len(path.read_text().splitlines()) <= 300
