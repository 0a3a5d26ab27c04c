"""The library does not know its command line: its strings name no option and no command."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import LEAVES

import mm_milvus

PACKAGE = Path(mm_milvus.__file__).parent

OPTIONS = {
    option for command in LEAVES.values() for param in command.params for option in param.opts
}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*(?![\w-]*[:)])")
"""An option, and no custom property of CSS: `--name: value` or `var(--name)`."""

COMMAND = re.compile(r"\bmm-milvus (?:" + "|".join(sorted(LEAVES)) + r")\b")


def strings(source: str) -> Iterator[tuple[int, str]]:
    """Yield the string literals of a module and their lines: messages, templates, docstrings."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def named_options(source: str) -> list[str]:
    """The options and commands that strings of a module name, each with its line."""
    return [
        f"line {line}: {match[0]}"
        for line, text in strings(source)
        for pattern in (OPTION, COMMAND)
        for match in pattern.finditer(text)
    ]


MODULES = [
    path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] != "cli"
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_string_of_the_library_names_an_option_or_a_command(path):
    assert named_options(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("option", sorted(option for option in OPTIONS if option[:2] == "--"))
def test_every_option_that_is_planted_is_found(option):
    assert named_options(f'raise ValueError(f"name it with {option}, {{x}}")') == [
        f"line 1: {option}"
    ]


@pytest.mark.parametrize("command", LEAVES)
def test_every_command_that_is_planted_is_found(command):
    source = f'"""Doc."""\nHINT = "run mm-milvus {command} PATH"'
    assert named_options(source) == [f"line 2: mm-milvus {command}"]


def test_custom_properties_of_css_are_no_options():
    assert named_options('CSS = "a { --ink: #111; color: var(--ink) }"') == []
