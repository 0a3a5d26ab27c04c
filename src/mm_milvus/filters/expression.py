r"""Render conditions as a Milvus boolean expression.

A value or a key can never become part of the expression's grammar, and every string is a literal
that Milvus Lite and the server (2.3 and later) read back to the same characters. Only five
characters are escaped, as \\ \" \n \r \t: Milvus Lite knows no other escape, and both engines take
all other characters unescaped.
"""

from __future__ import annotations

from collections.abc import Sequence

from mm_milvus.filters.columns import ColumnTests, FilterColumns
from mm_milvus.filters.condition import (
    MAX_INT64,
    Condition,
    Filter,
    Group,
    Test,
    TextRange,
    key_paths,
    tests_of,
    text_ranges,
)
from mm_milvus.schema import Field

EXACT_DOUBLE = 2**53
"""Every integer of a smaller magnitude is a double."""

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def render(conditions: Sequence[Filter], columns: FilterColumns) -> str:
    """Render conditions as one Milvus expression that is true where all of them are met.

    Args:
        conditions: Joined by `and`.
        columns: The metadata keys with a typed column, which is compared in place of the JSON
            where it gives the same answer: that is faster.

    Returns:
        The expression; "" for no conditions.

    Raises:
        QueryError: When no stored value of a key can be compared with the condition's.
    """
    return " and ".join(_render(condition, columns) for condition in conditions)


def json_path(path: Sequence[str]) -> str:
    """Return the expression of a place in the metadata."""
    return Field.METADATA + "".join(f"[{literal(key)}]" for key in path)


def _render(condition: Filter, columns: FilterColumns) -> str:
    if isinstance(condition, Group):
        return _joined(condition.join, [_render(part, columns) for part in condition.parts])
    in_column = columns.lookup(condition)
    if in_column is not None:
        return _in_column(condition, in_column)
    tests = tests_of(condition)
    places = [_at(json_path(path), condition, tests) for path in key_paths(condition.field)]
    return _joined("and" if condition.is_negative else "or", places)


def _in_column(condition: Condition, found: ColumnTests) -> str:
    """Render a condition on a typed column; a missing value meets a negative condition alone."""
    name = found.name
    if condition.op in ("exists", "not exists"):
        return f"{name} is {'not ' if condition.op == 'exists' else ''}null"
    parts = [_column_comparison(test, found) for test in found.tests]
    if not condition.is_negative:
        return _joined("or", parts)
    present = _joined("and", parts)
    return f"({name} is null or {present})" if found.nullable else present


def _column_comparison(test: Test, found: ColumnTests) -> str:
    if (ranges := text_ranges(test.op, test.value)) is not None:
        inside = _inside(found.name, ranges)
        return f"(not {inside})" if test.op == "!=" else inside
    comparison = _comparison(found.name, test)
    if found.kind == "int64" and not found.nullable and test.op in ("<", "<="):
        return f"({found.name} >= {-MAX_INT64} and {comparison})"  # `limits.MISSING` is one less
    return comparison


def _at(path: str, condition: Condition, tests: Sequence[Test]) -> str:
    """Render a condition at one place of the metadata."""
    if condition.op == "has":
        return f"json_contains_any({path}, [{_element(tests[0].value)}])"
    if condition.op == "exists":
        return f"(exists {path})"
    if condition.op == "not exists":
        return f"(not (exists {path}))"
    if not condition.is_negative:
        return _joined("or", [_comparison(path, test) for test in tests])
    # For the server a missing key differs from everything, for Milvus Lite it does not; and the
    # server's `exists` extends as far to the right as it can.
    missing = f"not (exists {path})"
    return _joined("and", [f"({missing} or {_comparison(path, test)})" for test in tests])


def _joined(join: str, parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({f' {join} '.join(parts)})"


def _comparison(left: str, test: Test) -> str:
    ranges = text_ranges(test.op, test.value)
    if ranges is not None:
        inside = _inside(left, ranges)
        if test.op != "!=":
            return inside
        # For Milvus Lite a number is neither inside nor outside of a range of texts.
        return f"(not {inside} or {left} < 0 or {left} >= 0)"
    sign = "==" if test.op == "=" else test.op
    return f"{left} {sign} {literal(test.value)}"


def _inside(left: str, ranges: Sequence[TextRange]) -> str:
    inside = " or ".join(_in_range(left, low, high) for low, high in ranges)
    return f"({inside})" if inside else f'({left} < "")'


def _in_range(left: str, low: str, high: str | None) -> str:
    above = f"{left} >= {literal(low)}"
    return above if high is None else f"({above} and {left} < {literal(high)})"


def literal(value: str | bool | float) -> str:
    """Return a value as a literal of the expression's grammar."""
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    # The server compares an integer exactly with an integer, but a float only as a double.
    return repr(int(value) if value == int(value) and abs(value) <= MAX_INT64 else value)


def _element(value: str | bool | float) -> str:
    """Return a literal that the server finds in a list: 2 does not find 2.0 there, 2.0 finds 2."""
    if isinstance(value, str | bool) or abs(value) >= EXACT_DOUBLE:
        return literal(value)
    return repr(float(value))
