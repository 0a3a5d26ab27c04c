"""SearchOptions: one list of fields, light to import."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from typing import get_args

import pytest

from mm_milvus.choices import FusionName
from mm_milvus.errors import OptionError
from mm_milvus.search.fusion import FUSION_MODES
from mm_milvus.search.options import SearchChanges, SearchOptions, with_changes


def test_the_keywords_of_a_search_are_the_fields_of_the_options():
    keywords = {
        name: annotation.__forward_arg__
        for name, annotation in SearchChanges.__annotations__.items()
    }
    # Stages may be texts; the options hold what these stand for.
    keywords["rerank"] = keywords["rerank"].replace("Rerank | str", "Rerank")
    assert keywords == {field.name: field.type for field in fields(SearchOptions)}


def test_every_field_is_documented():
    for field in fields(SearchOptions):
        assert f"\n        {field.name}: " in SearchOptions.__doc__


def test_the_names_of_fusion_modes_are_those_of_the_table():
    assert get_args(FusionName) == tuple(FUSION_MODES)


def test_changes_are_checked_and_unknown_ones_rejected():
    options = with_changes(SearchOptions(top_k=3, fusion="rrf"), {"top_k": 5})
    assert options == SearchOptions(top_k=5, fusion="rrf")
    assert with_changes(None, {}) == SearchOptions()
    with pytest.raises(OptionError, match="top_k is 0"):
        with_changes(options, {"top_k": 0})
    with pytest.raises(OptionError, match="min_score is not a number"):
        SearchOptions(min_score=float("nan"))
    with pytest.raises(TypeError, match="colour"):
        with_changes(options, {"colour": "red"})


@pytest.mark.parametrize("module", ["mm_milvus.search.options", "mm_milvus.evaluation.options"])
def test_options_import_nothing_heavy(module):
    heavy = {"numpy", "PIL", "pyarrow", "pymilvus", "torch", "transformers"}
    code = f"import sys, {module}; print(*{heavy!r} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout.split()) == (0, []), result.stderr
