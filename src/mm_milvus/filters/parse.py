"""Conditions from text: `price<50`, `color=red`, `tags has sale`."""

from __future__ import annotations

import re

from mm_milvus.errors import QueryError
from mm_milvus.filters.condition import (
    OPERATORS,
    Condition,
    Operator,
    Value,
    excerpt,
    key_fault,
    value_fault,
)

HINT = "write KEY OP VALUE, as in price<50"

_OPERATOR = re.compile(r"\s*(<=|>=|!=|==|=|<|>|(?<=\s)has(?=\s|$))\s*")
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*|(?=\.[0-9]))(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]+")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)


def parse_condition(text: str) -> Condition:
    r"""Parse `KEY OP VALUE`: `price<50`, `color=red`, `tags has sale`, `name="O'Neil"`.

    Numbers are written as in JSON; `true` and `false` are booleans; anything else is a string.
    Quotes make any value a string: `size="42"`. Within quotes, \", \' and \\ stand for their
    second character; any other backslash stands for itself.

    Args:
        text: A key, an operator (`=`, `==`, `!=`, `<`, `<=`, `>`, `>=` or `has`) and a value.

    Returns:
        The condition.

    Raises:
        QueryError: With the position of the fault.
    """
    match = _OPERATOR.search(text)
    if match is None:
        raise _expected("an operator", text, _end_of_word(text))
    key = text[: match.start()].strip()
    if not key:
        raise _expected("a key", text, match.start(1))
    key_start = text.index(key)
    if key[0] in "\"'":
        raise _expected("a key without quotes", text, key_start)
    if fault := key_fault(key):
        raise _rejected(fault, text, key_start)
    op = _operator(match[1])
    value = _value(text, match.end())
    if fault := value_fault(op, value):
        raise _rejected(fault, text, match.end())
    return Condition(key, op, value)


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
        raise _rejected(f"the quote {text[start]} is not closed; close it at the end", text, start)
    rest = text[quoted.end() :].lstrip()
    if rest:
        raise _expected("the end", text, len(text) - len(rest))
    content: str = quoted[1] if quoted[1] is not None else quoted[2]
    return re.sub(r"\\([\\\"'])", r"\1", content)


def _end_of_word(text: str) -> int:
    """Return where an operator could be, in a text that has none."""
    word = re.match(r"\s*[^\s!]*\s*", text)
    return word.end() if word else 0


def _expected(what: str, text: str, position: int) -> QueryError:
    character = excerpt(text[position]) if position < len(text) else "the end"
    where = f"at character {position + 1}, found {character}"
    return QueryError(f"filter {excerpt(text)}: expected {what} {where}; {HINT}")


def _rejected(fault: str, text: str, position: int) -> QueryError:
    return QueryError(f"filter {excerpt(text)}: at character {position + 1}, {fault}")
