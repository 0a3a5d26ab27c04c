"""Imports that worked in version 0.1 work for one more release, and warn."""

from __future__ import annotations

from importlib import import_module

import pytest


@pytest.mark.parametrize(
    ("package", "name", "home"),
    [
        ("sources", "open_source", "sources.open"),
        ("sources", "read_image", "files"),
        ("images", "decode", "images.decoding"),
        ("search", "parse_rerank", "search.rerank"),
        ("search", "SearchClient", "search.client"),
    ],
)
def test_a_name_is_found_where_it_was_with_a_warning(package, name, home):
    with pytest.warns(DeprecationWarning, match=f"import it from mm_milvus.{home}"):
        value = getattr(import_module(f"mm_milvus.{package}"), name)
    assert value is getattr(import_module(f"mm_milvus.{home}"), name)


def test_other_names_are_attribute_errors():
    with pytest.raises(AttributeError, match=r"mm_milvus\.sources.* no attribute 'nonsense'"):
        import_module("mm_milvus.sources").nonsense  # noqa: B018
