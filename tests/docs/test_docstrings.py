"""The docstrings of the public names are complete, in the style that the API reference parses."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import griffe
import pytest
from markdown_blocks import ROOT

import mm_milvus

NOT_DOCUMENTED_AS_ARGUMENTS = {"self", "cls", "old_keywords"}


@pytest.fixture(scope="module")
def package() -> griffe.Module:
    return griffe.load("mm_milvus", search_paths=[ROOT / "src"], docstring_parser="google")


def documented(package: griffe.Module, name: str) -> Iterator[griffe.Object]:
    """Yield a public object, and the public methods and properties of a class."""
    alias = package[name]
    item = alias.final_target if alias.is_alias else alias
    yield item
    if item.is_class:
        yield from (
            member
            for member in item.members.values()
            if not member.is_alias
            and not member.name.startswith("_")
            and (member.is_function or "property" in member.labels)
        )


def sections(item: griffe.Object) -> dict[griffe.DocstringSectionKind, object]:
    return {section.kind: section.value for section in item.docstring.parsed}


def names(item: griffe.Object, kind: griffe.DocstringSectionKind) -> set[str]:
    return {entry.name.lstrip("*") for entry in sections(item).get(kind, ())}


def undescribed(item: griffe.Object) -> set[str]:
    """Parameters without an entry in `Args`, fields of a dataclass without one in `Attributes`.

    A method may describe its parameters in a sentence: it needs no `Args`, but no incomplete ones.
    """
    if item.is_function:
        described = names(item, griffe.DocstringSectionKind.parameters)
        parameters = {parameter.name for parameter in item.parameters}
        in_a_sentence = item.parent.is_class and not described
        return set() if in_a_sentence else parameters - NOT_DOCUMENTED_AS_ARGUMENTS - described
    if "dataclass" in item.labels:
        fields = {
            member.name
            for member in item.members.values()
            if member.is_attribute
            and not member.name.startswith("_")
            and "property" not in member.labels
        }
        return fields - names(item, griffe.DocstringSectionKind.attributes)
    return set()


@pytest.mark.parametrize("name", mm_milvus.__all__)
def test_a_public_object_describes_its_parameters_and_fields(name, package, caplog):
    with caplog.at_level(logging.WARNING, logger="griffe"):
        for item in documented(package, name):
            assert item.docstring is not None, item.path
            assert undescribed(item) == set(), item.path
    assert caplog.messages == []
