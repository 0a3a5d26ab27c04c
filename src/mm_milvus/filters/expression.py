r"""Render conditions as a Milvus boolean expression.

A value or a key can never become part of the expression's grammar, and every string is a literal
that Milvus Lite and the server (2.3 and later) read back to the same characters. Only five
characters are escaped, as \\ \" \n \r \t: Milvus Lite knows no other escape, and both engines take
all other characters unescaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mm_milvus.filters.columns import FilterColumns
from mm_milvus.filters.condition import MAX_INT64, Condition, Value
from mm_milvus.schema import Field

EXACT_DOUBLE = 2**53
"""Every integer of a smaller magnitude is a double."""

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def render(conditions: Sequence[Condition], columns: FilterColumns) -> str:
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


def _render(condition: Condition, columns: FilterColumns) -> str:
    path = Field.METADATA + "".join(f"[{_literal(key)}]" for key in condition.field.split("."))
    if condition.op == "has":
        return f"json_contains_any({path}, [{_element(condition.value)}])"
    if name := columns.column_for(condition):
        return _in_column(name, condition, columns)
    if condition.op == "!=":
        # For the server a missing key differs from everything, for Milvus Lite it does not; and
        # the server's `exists` extends as far to the right as it can.
        return f"(not (exists {path}) or {_comparison(path, condition)})"
    return _comparison(path, condition)


def _in_column(name: str, condition: Condition, columns: FilterColumns) -> str:
    """Render the comparison of a typed column, where a missing value meets `!=` alone."""
    op, value = condition.op, condition.value
    if columns.types[condition.field] == "int64" and isinstance(value, float) and value % 1:
        # Between two whole numbers.
        op, value = ("<=" if op[0] == "<" else ">"), math.floor(value)
    comparison = f"{name} {'==' if op == '=' else op} {_literal(value)}"
    if columns.nullable:
        return f"({name} is null or {comparison})" if op == "!=" else comparison
    if columns.types[condition.field] == "int64" and op in ("<", "<="):
        return f"({name} >= {-MAX_INT64} and {comparison})"  # `limits.MISSING` is one less
    return comparison


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
