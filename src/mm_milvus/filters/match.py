"""Evaluate a condition in memory, with the result that the filter of an engine gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mm_milvus.filters.condition import (
    COMPARE,
    Condition,
    Filter,
    Group,
    Operator,
    key_paths,
    spellings,
    text_ranges,
)


def holds(condition: Filter, metadata: Mapping[str, Any]) -> bool:
    """Return whether a row with this metadata meets the condition, by the rules of `Condition`."""
    if isinstance(condition, Group):
        results = (holds(part, metadata) for part in condition.parts)
        return all(results) if condition.join == "and" else any(results)
    values = [_lookup(path, metadata) for path in key_paths(condition.field)]
    if condition.op in ("exists", "not exists"):
        meets = any(value is not None for value in values)
    else:
        meets = any(_meets(condition, value) for value in values)
    return meets != condition.is_negative


def value_of(key: str, metadata: Mapping[str, Any]) -> Any:
    """Return the value of a key, which may be dotted as in a condition; None where there is none.

    Of several places that `key_paths` names, the first with a value counts.
    """
    values = (_lookup(path, metadata) for path in key_paths(key))
    return next((value for value in values if value is not None), None)


def _lookup(path: tuple[str, ...], metadata: Mapping[str, Any]) -> Any:
    stored: Any = metadata
    for key in path:
        stored = stored.get(key) if isinstance(stored, Mapping) else None
    return stored


def _meets(condition: Condition, stored: Any) -> bool:
    """Return whether a stored value meets a condition, or the opposite of a negative one."""
    if condition.op == "has":
        return isinstance(stored, list) and any(
            _compares("=", element, condition.value) for element in stored
        )
    if condition.op in ("=", "!=", "in", "not in"):
        return any(_equals(stored, value) for value in condition.values)
    return _compares(condition.op, stored, condition.value)


def _equals(stored: Any, value: Any) -> bool:
    if isinstance(stored, str) and isinstance(value, int | float) and not isinstance(value, bool):
        return stored in spellings(value)
    return _compares("=", stored, value)


def _compares(op: Operator, stored: Any, value: Any) -> bool:
    ranges = text_ranges(op, value)
    if ranges is not None:
        return isinstance(stored, str) and any(
            low <= stored and (high is None or stored < high) for low, high in ranges
        )
    return _are_comparable(stored, value) and COMPARE[op](stored, value)


def _are_comparable(stored: Any, value: Any) -> bool:
    """Return whether both values are texts, both are booleans, or both are numbers."""
    if isinstance(stored, bool) or isinstance(value, bool):
        return isinstance(stored, bool) and isinstance(value, bool)
    return (isinstance(stored, str) and isinstance(value, str)) or (
        isinstance(stored, int | float) and isinstance(value, int | float)
    )
