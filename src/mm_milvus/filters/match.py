"""Evaluate a condition in memory, with the result that the filter of an engine gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mm_milvus.filters.condition import COMPARE, Condition


def holds(condition: Condition, metadata: Mapping[str, Any]) -> bool:
    """Return whether a row with this metadata meets the condition, by the rules of `Condition`."""
    stored: Any = metadata
    for key in condition.field.split("."):
        stored = stored.get(key) if isinstance(stored, Mapping) else None
    value = condition.value
    if condition.op == "has":
        return isinstance(stored, list) and any(
            _are_comparable(element, value) and element == value for element in stored
        )
    if not _are_comparable(stored, value):
        return condition.op == "!="
    return COMPARE[condition.op](stored, value)


def _are_comparable(stored: Any, value: Any) -> bool:
    """Return whether both values are texts, both are booleans, or both are numbers."""
    if isinstance(stored, bool) or isinstance(value, bool):
        return isinstance(stored, bool) and isinstance(value, bool)
    return (isinstance(stored, str) and isinstance(value, str)) or (
        isinstance(stored, int | float) and isinstance(value, int | float)
    )
