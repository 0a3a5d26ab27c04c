r"""Render conditions as a Milvus boolean expression.

A value or a key can never become part of the expression's grammar, and every string is a literal
that Milvus Lite and the server (2.3 and later) read back to the same characters. Only five
characters are escaped, as \\ \" \n \r \t: Milvus Lite knows no other escape, and both engines take
all other characters unescaped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from mm_milvus.errors import QueryError
from mm_milvus.filters.condition import (
    COMPARE,
    MAX_INT64,
    Condition,
    Filter,
    Group,
    Operator,
    excerpt,
    key_paths,
    spellings,
    text_ranges,
)
from mm_milvus.schema import Field

EXACT_DOUBLE = 2**53
"""Every integer of a smaller magnitude is a double."""

MISSING: Mapping[str, Any] = {"double": math.nan, "varchar": ""}
"""The value of a promoted column where the key is missing; the other types require the key."""

_COMPARABLE = {
    "double": "a number",
    "int64": "a whole number",
    "varchar": "a text, in quotes",
    "bool": "true or false",
}

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})

_COLUMN = re.compile(
    r"(?!(?:and|or|not|in|like|is|null|exists|true|false|(?:json|array|text|phrase|st)_\w+)$)\w+",
    re.IGNORECASE | re.ASCII,
)
"""A column that an expression can name: not one of the grammar's own words."""


def render(conditions: Sequence[Filter], columns: Mapping[str, str]) -> str:
    """Render conditions as one Milvus expression that is true where all of them are met.

    Args:
        conditions: Joined by `and`.
        columns: The promoted metadata keys and their types, `double`, `int64`, `varchar` or
            `bool`. They are compared as columns, which is faster than a lookup in the JSON.

    Returns:
        The expression; "" for no conditions.

    Raises:
        QueryError: When a value does not fit its column's type.
    """
    return " and ".join(_render(condition, columns) for condition in conditions)


def json_path(path: Sequence[str]) -> str:
    """Return the expression of a place in the metadata."""
    return Field.METADATA + "".join(f"[{literal(key)}]" for key in path)


def _render(condition: Filter, columns: Mapping[str, str]) -> str:
    if isinstance(condition, Group):
        return _joined(condition.join, [_render(part, columns) for part in condition.parts])
    kind = columns.get(condition.field)
    tests = _tests(condition)
    if kind is not None:
        fitting = [test for test in map(partial(_fitted, kind=kind), tests) if test is not None]
        if tests and not fitting:
            raise QueryError(
                f"filter {excerpt(str(condition))}: the column {condition.field} is of type "
                f"{kind}; compare it with {_COMPARABLE[kind]}"
            )
        tests = fitting
        if tests and all(_is_column(condition.field, test, kind) for test in tests):
            return _joined(
                "and" if condition.is_negative else "or",
                [_comparison(condition.field, test) for test in tests],
            )
    places = [_at(json_path(path), condition, tests) for path in key_paths(condition.field)]
    return _joined("and" if condition.is_negative else "or", places)


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


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison of a condition; of a negative one, the opposite of what must not hold."""

    op: Operator
    value: Any


def _tests(condition: Condition) -> list[Test]:
    """Return the comparisons of which one must hold; of a negative condition, all."""
    if condition.op not in ("=", "!=", "in", "not in"):
        return [Test(condition.op, value) for value in condition.values]
    op: Operator = "!=" if condition.is_negative else "="
    values: dict[tuple[type, Any], Any] = {}
    for value in condition.values:
        values[type(value), value] = value
        if isinstance(value, int | float) and not isinstance(value, bool):
            values |= {(str, text): text for text in spellings(value)}
    return [Test(op, value) for value in values.values()]


def _fitted(test: Test, kind: str) -> Test | None:
    """Return the comparison for a column of this type; None where it can never hold."""
    match kind, test.value:
        case ("bool", bool()) | ("varchar", str() | date()):
            return test
        case (("double" | "int64"), int() | float() as number) if not isinstance(number, bool):
            if kind == "double" or number == int(number):
                return test
            if test.op in ("<", "<="):
                return Test("<=", math.floor(number))
            if test.op in (">", ">="):
                return Test(">=", math.ceil(number))
    return None


def _is_column(key: str, test: Test, kind: str) -> bool:
    """Return whether the promoted column answers like the JSON, also where the key is missing."""
    if not _COLUMN.fullmatch(key) or test.op == "has":
        return False
    if kind not in MISSING:
        return True
    if text_ranges(test.op, test.value) is not None:
        return test.op != "!=" and test.value != ""
    return COMPARE[test.op](MISSING[kind], test.value) == (test.op == "!=")


def _joined(join: str, parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({f' {join} '.join(parts)})"


def _comparison(left: str, test: Test) -> str:
    ranges = text_ranges(test.op, test.value)
    if ranges is not None:
        inside = " or ".join(_in_range(left, low, high) for low, high in ranges) or f'{left} < ""'
        if test.op != "!=":
            return f"({inside})"
        # For Milvus Lite a number is neither inside nor outside of a range of texts.
        return f"(not ({inside}) or {left} < 0 or {left} >= 0)"
    sign = "==" if test.op == "=" else test.op
    return f"{left} {sign} {literal(test.value)}"


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
