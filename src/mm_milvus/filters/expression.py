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
from typing import Any

from mm_milvus.errors import QueryError
from mm_milvus.filters.condition import COMPARE, MAX_INT64, Condition, Value, excerpt
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


def render(conditions: Sequence[Condition], columns: Mapping[str, str]) -> str:
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


def _render(condition: Condition, columns: Mapping[str, str]) -> str:
    path = Field.METADATA + "".join(f"[{_literal(key)}]" for key in condition.field.split("."))
    if condition.op == "has":
        return f"json_contains_any({path}, [{_element(condition.value)}])"
    if _is_column(condition, columns.get(condition.field)):
        return _comparison(condition.field, condition)
    if condition.op == "!=":
        # For the server a missing key differs from everything, for Milvus Lite it does not; and
        # the server's `exists` extends as far to the right as it can.
        return f"(not (exists {path}) or {_comparison(path, condition)})"
    return _comparison(path, condition)


def _is_column(condition: Condition, kind: str | None) -> bool:
    """Return whether the promoted column answers like the JSON, also where the key is missing."""
    if kind is None:
        return False
    _check_type(condition, kind)
    if not _COLUMN.fullmatch(condition.field):
        return False
    if kind not in MISSING:
        return True
    return COMPARE[condition.op](MISSING[kind], condition.value) == (condition.op == "!=")


def _comparison(left: str, condition: Condition) -> str:
    sign = "==" if condition.op == "=" else condition.op
    return f"{left} {sign} {_literal(condition.value)}"


def _literal(value: Value) -> str:
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    # The server compares an integer exactly with an integer, but a float only as a double.
    return repr(int(value) if value == int(value) and abs(value) <= MAX_INT64 else value)


def _element(value: Value) -> str:
    """Return a literal that the server finds in a list: 2 does not find 2.0 there, 2.0 finds 2."""
    if isinstance(value, str | bool) or abs(value) >= EXACT_DOUBLE:
        return _literal(value)
    return repr(float(value))


def _check_type(condition: Condition, kind: str) -> None:
    match kind, condition.value:
        case ("bool", bool()) | ("varchar", str()):
            return
        case (("double" | "int64"), int() | float() as number) if not isinstance(number, bool):
            if kind == "double" or number == int(number):
                return
    raise QueryError(
        f"filter {excerpt(str(condition))}: the column {condition.field} is of type {kind}; "
        f"compare it with {_COMPARABLE[kind]}"
    )
