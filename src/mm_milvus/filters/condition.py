"""A typed condition on metadata, which is checked when it is made."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mm_milvus.errors import QueryError
from mm_milvus.text import is_utf8

Operator = Literal["=", "!=", "<=", ">=", "<", ">", "has"]
Value = str | int | float | bool

OPERATORS: tuple[Operator, ...] = get_args(Operator)

MAX_INT64 = 2**63 - 1

EXCERPT_CHARACTERS = 80

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""How an operator compares two values of one kind; `has` is not among them."""

_UNSUPPORTED = re.compile(r"\]\[|\\u[0-9a-fA-F]{4}|[\x00-\x08\x0b\x0c\x0e-\x1f]")
r"""What the server cannot look up in a key: it cuts a path at `][` (2.3 crashes on it), since 2.4
it decodes \uXXXX twice, and it compares with the key as JSON escapes it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on one metadata key.

    Integers and floats compare by value; a number never equals a string, and strings are ordered
    by code point. A row without the key, with null there or with a value of another type meets
    `!=` and no other operator. One difference between the engines remains: Milvus Lite takes a
    stored true for 1 and false for 0.

    `str()` gives the text form, which `parse_condition` reads.

    Attributes:
        field: A metadata key; dots lead into nested objects: `size.eu`.
        op: `=`, `!=`, `<`, `<=`, `>`, `>=`, or `has`: the key's list contains the value.
        value: A string, a boolean or a number; a number is finite, and an integer has less than
            64 bits.

    Raises:
        QueryError: For a condition that no engine can evaluate.
    """

    field: str
    op: Operator
    value: Value

    def __post_init__(self) -> None:
        """Reject what cannot be looked up or compared."""
        if self.op not in OPERATORS:
            raise QueryError(f"unknown operator {self.op!r}: there are {', '.join(OPERATORS)}")
        if fault := key_fault(self.field):
            raise QueryError(f"metadata key {excerpt(self.field)}: {fault}")
        if fault := value_fault(self.op, self.value):
            raise QueryError(f"metadata key {excerpt(self.field)}: {fault}")

    def __str__(self) -> str:
        """Return the text that `parse_condition` reads back.

        It cannot be read back when the key contains a character of the grammar.
        """
        space = " " if self.op == "has" else ""
        return f"{self.field}{space}{self.op}{space}{_value_text(self.value)}"


def key_fault(key: str) -> str:
    """Return why a key cannot be used; "" where it can."""
    if not all(key.split(".")):
        return "a key, and each part of it between dots, has at least one character"
    if not is_utf8(key):
        return "the key is not valid Unicode"
    if match := _UNSUPPORTED.search(key):
        return f"Milvus cannot look up a key that contains {match[0]!r}"
    return ""


def value_fault(op: Operator, value: Value) -> str:
    """Return why a value cannot be compared; "" where it can."""
    match value:
        case str():
            return "" if is_utf8(value) else "the value is not valid Unicode"
        case bool():
            return "true and false have no order; use = or !=" if op[0] in "<>" else ""
        case int():
            fits = abs(value) <= MAX_INT64
            return "" if fits else "the number does not fit into 64 bits; a text goes in quotes"
        case float():
            is_finite = math.isfinite(value)
            return "" if is_finite else f"{value} compares with nothing; a text goes in quotes"
    return "the value is neither a string, nor a number, nor a boolean"


def excerpt(text: str) -> str:
    """Return the start of a text in quotes, on one line and with each character in its place."""
    start = text[:EXCERPT_CHARACTERS]
    line = "".join(character if character.isprintable() else "�" for character in start)
    return f"'{line}…'" if len(text) > EXCERPT_CHARACTERS else f"'{line}'"


def _value_text(value: Value) -> str:
    if isinstance(value, str):
        return '"{}"'.format(re.sub(r"([\\\"])", r"\\\1", value))
    return repr(value).lower() if isinstance(value, bool) else repr(value)
