"""Typed conditions on metadata, which are checked when they are made."""

from __future__ import annotations

import math
import operator
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, get_args

from mm_milvus.errors import QueryError
from mm_milvus.text import is_utf8

Operator = Literal[
    "=", "!=", "<=", ">=", "<", ">", "has", "starts with", "in", "not in", "exists", "not exists"
]
Value = str | int | float | bool | date
"""A datetime is a date, too."""

TextRange = tuple[str, str | None]
"""The texts from one, included, to another, excluded; None: to the end."""

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
"""How an operator compares two values of one kind."""

MAX_SPLIT_DOTS = 3
"""A key with more dots is looked up at two places only: each dot doubles the cost of a lookup."""

FIRST_DIGIT, AFTER_DIGITS = "0", ":"
"""Texts that may be dates begin with a digit; in the order of code points a colon follows 9."""

_UNSUPPORTED = re.compile(r"\]\[|\\u[0-9a-fA-F]{4}|[\x00-\x08\x0b\x0c\x0e-\x1f]")
r"""What the server cannot look up in a key: it cuts a path at `][` (2.3 crashes on it), since 2.4
it decodes \uXXXX twice, and it compares with the key as JSON escapes it."""

_GRAMMAR = re.compile(r"[=<>!()\[\]\"']|\b(?:has|in|exists|and|or)\b|\bstarts\s", re.IGNORECASE)
"""What a key without quotes cannot always contain."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on one metadata key.

    Integers and floats compare by value, and `=` finds the text of a number too: `stock=12` finds
    12, 12.0 and "12". Nothing else equals or precedes a value of another type, and strings are
    ordered by code point. A row without the key, with null there or with a value of another type
    meets `!=` and `not in`, and no other operator but `not exists`.

    A `date` or `datetime` compares with texts in ISO 8601, as their wall clock shows; a date is the
    whole day, a datetime the whole second. A datetime with a time zone is converted to UTC first;
    the zone of a stored text is not read.

    Two differences between the engines remain: Milvus Lite takes a stored true for 1 and false for
    0, and for `exists` a stored null is a value on a server and none on Milvus Lite.

    `str()` gives the text form, which `parse_condition` reads.

    Attributes:
        field: A metadata key; a dot leads into a nested object or is part of the key: `size.eu`
            finds `{"size": {"eu": 42}}` and `{"size.eu": 42}`.
        op: `=`, `!=`, `<`, `<=`, `>`, `>=`, `has` (the key's list contains the value), `starts
            with`, `in`, `not in`, `exists` or `not exists`.
        value: A string, a boolean, a number or a date; for `in` and `not in` a tuple of them, for
            `exists` None. A number is finite, and an integer has less than 64 bits.

    Raises:
        QueryError: For a condition that no engine can evaluate.
    """

    field: str
    op: Operator
    value: Value | tuple[Value, ...] | None = None

    def __post_init__(self) -> None:
        """Reject what cannot be looked up or compared."""
        if self.op not in OPERATORS:
            raise QueryError(f"unknown operator {self.op!r}: there are {', '.join(OPERATORS)}")
        fault = key_fault(self.field)
        if not fault and self.op in ("in", "not in") and not isinstance(self.value, tuple):
            fault = "it needs a tuple of values"
        elif not fault and self.op in ("exists", "not exists"):
            fault = "" if self.value is None else "it takes no value"
        for value in () if fault else self.values:
            fault = fault or value_fault(self.op, value)
        if fault:
            raise QueryError(f"metadata key {excerpt(self.field)}: {fault}")

    def __str__(self) -> str:
        """Return the text that `parse_condition` reads back."""
        key = self.field
        if key != key.strip() or _GRAMMAR.search(key):
            key = _quoted(key)
        if self.op in ("exists", "not exists"):
            return f"{key} {self.op}"
        if isinstance(self.value, tuple):
            return f"{key} {self.op} ({', '.join(map(_value_text, self.value))})"
        space = " " if self.op[0].isalpha() else ""
        return f"{key}{space}{self.op}{space}{_value_text(self.value)}"

    @property
    def values(self) -> tuple[Any, ...]:
        """The values to compare with: several for `in` and `not in`, none for `exists`."""
        if isinstance(self.value, tuple):
            return self.value
        return () if self.op in ("exists", "not exists") else (self.value,)

    @property
    def is_negative(self) -> bool:
        """Whether it is the opposite of another condition: a row without the key meets it."""
        return self.op in ("!=", "not in", "not exists")


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions that must all hold (`and`), or one of which must hold (`or`).

    Attributes:
        join: `and` or `or`.
        parts: At least one condition or group.
    """

    join: Literal["and", "or"]
    parts: tuple[Condition | Group, ...]

    def __str__(self) -> str:
        """Return the text that `parse_condition` reads back."""
        return f"({f' {self.join} '.join(map(str, self.parts))})"


Filter = Condition | Group


def leaves(part: Filter) -> list[Condition]:
    """Return the conditions of a filter."""
    if isinstance(part, Condition):
        return [part]
    return [leaf for inner in part.parts for leaf in leaves(inner)]


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison of a condition; of a negative one, the opposite of what must not hold."""

    op: Operator
    value: Any


def tests_of(condition: Condition) -> list[Test]:
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


def key_paths(key: str) -> list[tuple[str, ...]]:
    """Return the places that a key stands for, the fully nested one first.

    `a.b` is ("a", "b") and ("a.b",). With more than `MAX_SPLIT_DOTS` dots, only the fully nested
    place and the key itself.
    """
    first, *others = key.split(".")
    if len(others) > MAX_SPLIT_DOTS:
        return [(first, *others), (key,)]
    paths: list[tuple[str, ...]] = [(first,)]
    for part in others:
        nested = [(*path, part) for path in paths]
        paths = nested + [(*path[:-1], f"{path[-1]}.{part}") for path in paths]
    return paths


def spellings(value: float) -> list[str]:
    """Return the texts that a number equals: "12" for 12, "12.0" and "12" for 12.0."""
    texts = [repr(value)]
    if isinstance(value, float) and value.is_integer():
        texts.append(repr(int(value)))
    return texts


def text_ranges(op: Operator, value: Any) -> Sequence[TextRange] | None:
    """Return the ranges of texts that meet a condition; None where it is not about ranges.

    Args:
        op: `starts with`, or an operator that a date is compared by: `!=` gives what `=` does.
        value: A string for `starts with`, or a date.
    """
    if op == "starts with":
        return [(value, _successor(value))]
    if not isinstance(value, date):
        return None
    moment: date = value
    step = timedelta(days=1)
    if isinstance(value, datetime):
        step = timedelta(seconds=1)
        moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    try:
        end: date | None = moment + step
    except OverflowError:
        end = None
    match op:
        case "<":
            return _before(moment)
        case "<=":
            return _before(end)
        case ">":
            return _since(end)
        case ">=":
            return _since(moment)
    pairs = [
        (max(low, other_low), min(high, other_high))
        for low, high in _since(moment)
        for other_low, other_high in _before(end)
    ]
    return [(low, high) for low, high in pairs if low < high]


def _before(moment: date | None) -> list[tuple[str, str]]:
    """Return the ranges of texts in ISO 8601 before a moment; None: all of them."""
    if moment is None:
        return [(FIRST_DIGIT, AFTER_DIGITS)]
    day, clock = _iso(moment)
    if not clock:
        return [(FIRST_DIGIT, day)]
    # Either a T or a space, which precedes it, stands between a date and a time.
    return [(FIRST_DIGIT, f"{day} {clock}"), (f"{day}T", f"{day}T{clock}")]


def _since(moment: date | None) -> list[tuple[str, str]]:
    """Return the ranges of texts in ISO 8601 at or after a moment; None: none of them."""
    if moment is None:
        return []
    day, clock = _iso(moment)
    if not clock:
        return [(day, AFTER_DIGITS)]
    return [(f"{day} {clock}", f"{day}T"), (f"{day}T{clock}", AFTER_DIGITS)]


def _iso(moment: date) -> tuple[str, str]:
    """Return day and time in their shortest form, which precedes the longer ones."""
    day, _, clock = moment.isoformat().partition("T")
    clock = clock.removesuffix(":00")
    return day, "" if clock == "00:00" else clock


def _successor(text: str) -> str | None:
    """Return the first text after all those with this beginning; None where there is none."""
    stem = text.rstrip(chr(sys.maxunicode))
    if not stem:
        return None
    code = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if code == 0xD800 else code)  # no surrogates


def key_fault(key: str) -> str:
    """Return why a key cannot be used; "" where it can."""
    if not all(key.split(".")):
        return "a key, and each part of it between dots, has at least one character"
    if not is_utf8(key):
        return "the key is not valid Unicode"
    if match := _UNSUPPORTED.search(key):
        return f"Milvus cannot look up a key that contains {match[0]!r}"
    return ""


def value_fault(op: Operator, value: Any) -> str:
    """Return why a value cannot be compared; "" where it can."""
    if op == "starts with" and not isinstance(value, str):
        return "only a text can be the start of a text"
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
        case datetime(microsecond=microsecond) if microsecond:
            return "times compare to the second; leave out its fraction"
        case date():
            return "a list has no dates, but their texts" if op == "has" else ""
    return "the value is neither a string, nor a number, nor a boolean, nor a date"


def excerpt(text: str) -> str:
    """Return the start of a text in quotes, on one line and with each character in its place."""
    start = text[:EXCERPT_CHARACTERS]
    line = "".join(character if character.isprintable() else "�" for character in start)
    return f"'{line}…'" if len(text) > EXCERPT_CHARACTERS else f"'{line}'"


def _value_text(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, date):
        return value.isoformat()
    return repr(value).lower() if isinstance(value, bool) else repr(value)


def _quoted(text: str) -> str:
    return '"{}"'.format(re.sub(r"([\\\"])", r"\\\1", text))
