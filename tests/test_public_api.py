"""The front door: one table of names, the same for importing, `dir` and type checkers."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import mm_milvus

TEXT = Path(mm_milvus.__file__).read_text()


def typed_names() -> dict[str, str]:
    """Return what type checkers see: each name, and the module that it is imported from."""
    [block] = [
        node
        for node in ast.parse(TEXT).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    return {
        alias.name: node.module.removeprefix("mm_milvus.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_the_table_all_and_the_typed_imports_agree():
    assert typed_names() == mm_milvus._HOMES
    assert mm_milvus.__all__ == sorted(mm_milvus._HOMES)
    assert set(mm_milvus.__all__) <= set(dir(mm_milvus))


@pytest.mark.parametrize("name", mm_milvus.__all__)
def test_every_name_is_defined_where_the_table_says_and_documented(name):
    value = getattr(mm_milvus, name)
    home = f"mm_milvus.{mm_milvus._HOMES[name]}"
    assert value is getattr(import_module(home), name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__module__ == home
        assert inspect.getdoc(value)


def test_no_package_has_the_name_of_a_public_function():
    # Importing such a package would set its name here, in place of the function.
    packages = {path.stem for path in Path(mm_milvus.__file__).parent.iterdir()}
    functions = {name for name in mm_milvus.__all__ if inspect.isroutine(getattr(mm_milvus, name))}
    assert packages & functions == set()


def test_the_options_and_reports_of_every_verb_are_public():
    missing = []
    for name in mm_milvus.__all__:
        value = getattr(mm_milvus, name)
        if not inspect.isfunction(value):
            continue
        hints = inspect.get_annotations(inspect.unwrap(value))
        for hint in map(str, hints.values()):
            for word in ast.walk(ast.parse(hint, mode="eval")):
                if isinstance(word, ast.Name) and word.id.endswith(("Options", "Report")):
                    missing += [] if word.id in mm_milvus.__all__ else [f"{name}: {word.id}"]
    assert missing == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mm_milvus.nonsense  # noqa: B018


def test_importing_the_package_loads_nothing_heavy():
    heavy = {"numpy", "pyarrow", "pymilvus", "torch", "PIL", "transformers", "typer"}
    code = f"import sys, mm_milvus; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
