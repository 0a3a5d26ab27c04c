"""Whether metadata meets a condition: what an engine's filter finds, told of one hit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mm_milvus.filters.condition import COMPARE, Condition


def holds(condition: Condition, metadata: Mapping[str, Any]) -> bool:
    """Whether a row with this metadata meets the condition, by the rules of `Condition`."""
    found: Any = metadata
    for key in condition.field.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    value = condition.value
    if condition.op == "has":
        return isinstance(found, list) and any(
            _alike(each, value) and each == value for each in found
        )
    if not _alike(found, value):
        return condition.op == "!="
    return COMPARE[condition.op](found, value)


def _alike(found: Any, value: Any) -> bool:
    """Whether two values can be compared: both texts, both booleans, or both numbers."""
    if isinstance(found, bool) or isinstance(value, bool):
        return isinstance(found, bool) and isinstance(value, bool)
    return (isinstance(found, str) and isinstance(value, str)) or (
        isinstance(found, int | float) and isinstance(value, int | float)
    )
