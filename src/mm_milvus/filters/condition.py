r"""A small typed filter, and its safe rendering to a Milvus boolean expression.

A value or a key can never become part of the expression's grammar, and every string is a literal
that Milvus Lite and the server (2.3 and later) read back to the same characters. Only five signs
are escaped, as \\ \" \n \r \t: Milvus Lite knows no other escape, and both take the rest raw.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mm_milvus.errors import QueryError
from mm_milvus.schema import Field

Operator = Literal["=", "!=", "<=", ">=", "<", ">", "has"]
Value = str | int | float | bool

OPERATORS: tuple[Operator, ...] = get_args(Operator)
HINT = "write KEY OP VALUE, as in price<50"
SHOWN_CHARACTERS = 80

MAX_INT64 = 2**63 - 1
EXACT_DOUBLE = 2**53
"""Below this magnitude, every integer is a double."""

MISSING: Mapping[str, Any] = {"double": math.nan, "varchar": ""}
"""What stands in a promoted column where the key is missing; the other types need the key."""

_COMPARABLE = {
    "double": "a number",
    "int64": "a whole number",
    "varchar": "a text, in quotes",
    "bool": "true or false",
}

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""What two values of a kind are held to each other by; `has` looks into a list."""

_OPERATOR = re.compile(r"\s*(<=|>=|!=|==|=|<|>|(?<=\s)has(?=\s|$))\s*")
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*|(?=\.[0-9]))(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]+")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})

_UNASKABLE = re.compile(r"\]\[|\\u[0-9a-fA-F]{4}|[\x00-\x08\x0b\x0c\x0e-\x1f]")
r"""What the server cannot find in a key: it cuts a path at `][` (2.3 crashes over it), since 2.4
it decodes \uXXXX twice, and it compares with the key as JSON escapes it."""

_COLUMN = re.compile(
    r"(?!(?:and|or|not|in|like|is|null|exists|true|false|(?:json|array|text|phrase|st)_\w+)$)\w+",
    re.IGNORECASE | re.ASCII,
)
"""A column that an expression can name: not one of the grammar's own words."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on the metadata.

    field  a metadata key; dots lead into nested objects: `size.eu`
    op     `=`, `!=`, `<`, `<=`, `>`, `>=`, or `has`: the key's list contains the value
    value  a string, a boolean or a number: finite, an integer of less than 64 bits

    Integers and floats compare by value; a number never equals a string, and strings are ordered
    by code point. A row without the key, with null there or with a value of another type meets
    `!=` and nothing else. One difference stays between the engines: Milvus Lite takes a stored
    true for 1 and false for 0.

    Raises `QueryError` for what no engine can compare. `str()` gives the text form.
    """

    field: str
    op: Operator
    value: Value

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if self.op not in OPERATORS:
            raise QueryError(f"unknown operator {self.op!r}: there are {', '.join(OPERATORS)}")
        if why := _fault_of_key(self.field):
            raise QueryError(f"metadata key {_shown(self.field)}: {why}")
        if why := _fault_of_value(self.op, self.value):
            raise QueryError(f"metadata key {_shown(self.field)}: {why}")

    def __str__(self) -> str:
        """The text that `parse_condition` reads back, where the key has no sign of the grammar."""
        space = " " if self.op == "has" else ""
        return f"{self.field}{space}{self.op}{space}{_text(self.value)}"


def parse_condition(text: str) -> Condition:
    r"""Read `KEY OP VALUE`: `price<50`, `color=red`, `tags has sale`, `name="O'Neil"`.

    A number as JSON has it, `true` and `false` are themselves; anything else is a string, and
    quotes make a string of anything: `size="42"`. In quotes, \" \' and \\ stand for the second
    sign; any other backslash is one.

    Raises `QueryError` that points at the place.
    """
    found = _OPERATOR.search(text)
    if found is None:
        raise _expected("an operator", text, _end_of_word(text))
    key = text[: found.start()].strip()
    if not key:
        raise _expected("a key", text, found.start(1))
    key_at = text.index(key)
    if key[0] in "\"'":
        raise _expected("a key without quotes", text, key_at)
    if why := _fault_of_key(key):
        raise _refused(why, text, key_at)
    op = _operator(found[1])
    value = _value(text, found.end())
    if why := _fault_of_value(op, value):
        raise _refused(why, text, found.end())
    return Condition(key, op, value)


def render(conditions: Sequence[Condition], columns: Mapping[str, str]) -> str:
    """The conditions as one Milvus expression that all of them must meet; "" for none.

    columns  the promoted metadata keys and their types, `double`, `int64`, `varchar` or `bool`:
             they are compared as columns, which is faster than a look into the JSON

    Raises `QueryError` when a value does not fit its column's type.
    """
    return " and ".join(_render(condition, columns) for condition in conditions)


def _render(condition: Condition, columns: Mapping[str, str]) -> str:
    path = Field.METADATA + "".join(f"[{_literal(key)}]" for key in condition.field.split("."))
    if condition.op == "has":
        return f"json_contains_any({path}, [{_element(condition.value)}])"
    if _is_column(condition, columns.get(condition.field)):
        return _comparison(condition.field, condition)
    if condition.op == "!=":
        # The server says that a missing key differs from everything, Milvus Lite that it does
        # not; and the server's exists reaches as far to the right as it can.
        return f"(not (exists {path}) or {_comparison(path, condition)})"
    return _comparison(path, condition)


def _is_column(condition: Condition, kind: str | None) -> bool:
    """Whether the promoted column answers as the JSON would, for missing keys as well."""
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
    """A literal that the server finds in a list: an integer does not find 2.0, a float finds 2."""
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
        f"filter {_shown(str(condition))}: the column {condition.field} is of type {kind}; "
        f"compare it with {_COMPARABLE[kind]}"
    )


def _fault_of_key(key: str) -> str:
    if not all(key.split(".")):
        return "a key, and each part of it between dots, has at least one character"
    if not _is_unicode(key):
        return "the key is not valid Unicode"
    if sign := _UNASKABLE.search(key):
        return f"Milvus cannot look up a key that contains {sign[0]!r}"
    return ""


def _fault_of_value(op: Operator, value: Value) -> str:
    match value:
        case str():
            return "" if _is_unicode(value) else "the value is not valid Unicode"
        case bool():
            return "true and false have no order; use = or !=" if op[0] in "<>" else ""
        case int():
            fits = abs(value) <= MAX_INT64
            return "" if fits else "the number does not fit into 64 bits; a text goes in quotes"
        case float():
            finite = math.isfinite(value)
            return "" if finite else f"{value} compares with nothing; a text goes in quotes"
    return "the value is neither a string, nor a number, nor a boolean"


def _operator(sign: str) -> Operator:
    return "=" if sign == "==" else next(op for op in OPERATORS if op == sign)


def _value(text: str, start: int) -> Value:
    value = text[start:].rstrip()
    if not value or value[0] in "<>=!":
        raise _expected("a value", text, start)
    if value[0] in "\"'":
        return _unquoted(text, start)
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    if _NOT_FINITE.fullmatch(value):
        return float(value)
    if not _NUMBER.fullmatch(value):
        return value
    # Python refuses to convert thousands of digits, and thirty are out of range already.
    return int(value[:30]) if _INTEGER.fullmatch(value) else float(value)


def _unquoted(text: str, start: int) -> str:
    quoted = _QUOTED.match(text, start)
    if quoted is None:
        raise _refused(f"the quote {text[start]} is not closed; close it at the end", text, start)
    rest = text[quoted.end() :].lstrip()
    if rest:
        raise _expected("the end", text, len(text) - len(rest))
    inside: str = quoted[1] if quoted[1] is not None else quoted[2]
    return re.sub(r"\\([\\\"'])", r"\1", inside)


def _text(value: Value) -> str:
    if isinstance(value, str):
        return '"{}"'.format(re.sub(r"([\\\"])", r"\\\1", value))
    return repr(value).lower() if isinstance(value, bool) else repr(value)


def _end_of_word(text: str) -> int:
    """Where an operator could stand, in a text without any."""
    word = re.match(r"\s*[^\s!]*\s*", text)
    return word.end() if word else 0


def _expected(what: str, text: str, place: int) -> QueryError:
    found = _shown(text[place]) if place < len(text) else "the end"
    where = f"at character {place + 1}, found {found}"
    return QueryError(f"filter {_shown(text)}: expected {what} {where}; {HINT}")


def _refused(why: str, text: str, place: int) -> QueryError:
    return QueryError(f"filter {_shown(text)}: at character {place + 1}, {why}")


def _shown(text: str) -> str:
    """The text on one line, each character in its place."""
    line = "".join(sign if sign.isprintable() else "�" for sign in text[:SHOWN_CHARACTERS])
    return f"'{line}…'" if len(text) > SHOWN_CHARACTERS else f"'{line}'"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
