"""Conditions from text: `price<50`, `color=red or color=blue`, `tags has sale`."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, Literal

from mm_milvus.errors import QueryError
from mm_milvus.filters.condition import (
    OPERATORS,
    Condition,
    Filter,
    Group,
    Operator,
    Value,
    excerpt,
    key_fault,
    spellings,
    value_fault,
)

HINT = "write KEY OP VALUE, as in price<50"

MAX_DEPTH = 32
"""Brackets within brackets; the engines and Python have limits of their own above this one."""

_TEXT = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_ENDS = r"(?=\s*(?:$|\)|(?:and|or)\s))"
_OPERATOR = re.compile(
    rf"""
    (
        <=|>=|!=|==|=|<|>
      | (?<=\s)has(?=\s|$)
      | (?<=\s)starts\s+with(?=\s+[^\s=<>!]|\s*$)
      | (?<=\s)(?:not\s+)?in(?=\s*(?:\((?:{_TEXT}|[^()"'])*\)|\[(?:{_TEXT}|[^]["'])*\]){_ENDS})
      | (?<=\s)(?:not\s+)?exists{_ENDS}
    )\s*
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'", re.DOTALL)
_SPACED_OPERATOR = re.compile(rf"\s*{_OPERATOR.pattern}", _OPERATOR.flags)
_QUOTED_KEY = re.compile(rf"[(\s]*(?:{_TEXT})", re.DOTALL)
_CONNECTIVE = re.compile(r"(?<!\s)\s+(and|or)(?:\s+|(?=\())", re.IGNORECASE)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*|(?=\.[0-9]))(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]+")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII)


def parse_condition(text: str) -> Filter:
    r"""Parse one or several conditions: `price<50`, `color=red or (size>=40 and tags has sale)`.

    A condition is `KEY OP VALUE`, `KEY in (VALUE, ...)`, `KEY not in (VALUE, ...)`, `KEY exists` or
    `KEY not exists`. `and` binds more tightly than `or`; brackets group. `and` and `or` are part of
    a value where no condition follows: `title=this or that`.

    Numbers are written as in JSON, dates as in ISO 8601 (`2024-05-01`, `2024-05-01T12:30Z`);
    `true` and `false` are booleans; anything else is a string. Quotes make any value a string:
    `size="42"`; and a key may be put into quotes. Within quotes, \", \' and \\ stand for their
    second character; any other backslash stands for itself.

    Args:
        text: Keys, operators (`=`, `==`, `!=`, `<`, `<=`, `>`, `>=`, `has` or `starts with`) and
            values.

    Returns:
        The condition, or a group of them.

    Raises:
        QueryError: With the position of the fault.
    """
    return _Parser(text).parse()


class _Parser:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._depth = 0
        self._connectives = {match.start(): match for match in _connectives(text)}
        self._starts = list(self._connectives)

    def parse(self) -> Filter:
        result = self._any()
        if self._position < len(self._text):
            raise _expected("the end", self._text, self._position)
        return result

    def _any(self) -> Filter:
        return self._joined("or", lambda: self._joined("and", self._single))

    def _joined(self, join: Literal["and", "or"], part: Any) -> Filter:
        parts = [part()]
        while (match := self._connectives.get(self._position)) is not None and match[
            1
        ].lower() == join:
            self._position = match.end()
            parts.append(part())
        return parts[0] if len(parts) == 1 else Group(join, tuple(parts))

    def _single(self) -> Filter:
        start = self._skip_space(self._position)
        if not self._is_group(start):
            return self._condition()
        if self._depth == MAX_DEPTH:
            raise _rejected(f"brackets are more than {MAX_DEPTH} deep", self._text, start)
        self._depth += 1
        self._position = start + 1
        result = self._any()
        self._position = self._skip_space(self._position)
        if self._text[self._position : self._position + 1] != ")":
            raise _rejected("the bracket ( is not closed; close it", self._text, start)
        self._depth -= 1
        self._position += 1
        self._end()
        return result

    def _condition(self) -> Condition:
        text, start = self._text, self._position
        key_start = self._skip_space(start)
        key, after = "", start
        if text[key_start : key_start + 1] in ("'", '"'):
            key, after = self._unquoted(key_start)
        match = _SPACED_OPERATOR.match(text, after) if key else _OPERATOR.search(text, start)
        if match is None:
            position = after if key else start + _end_of_word(text[start:])
            raise _expected("an operator", text, position)
        key = key or text[start : match.start()].strip()
        if not key:
            raise _expected("a key", text, match.start(1))
        if fault := key_fault(key):
            raise _rejected(fault, text, key_start)
        op = _operator(match[1])
        self._position = match.end()
        if op in ("exists", "not exists"):
            self._position = match.end(1)
            self._end()
            return Condition(key, op)
        if op in ("in", "not in"):
            values = self._list(op)
            self._end()
            return Condition(key, op, values)
        first, *others = self._value(op)
        if others:
            # A stored text may spell the number as the user does: 9.50.
            return Condition(key, "in" if op == "=" else "not in", (first, *others))
        return Condition(key, op, first)

    def _value(self, op: Operator) -> list[Value]:
        text, start = self._text, self._position
        if text[start : start + 1] in ("'", '"'):
            value, self._position = self._unquoted(start)
            self._end()
            values: list[Value] = [value]
        else:
            self._position = self._value_end()
            value = text[start : self._position].rstrip()
            if not value or value[0] in "<>=!":
                raise _expected("a value", text, start)
            values = _typed(value, op)
        if fault := value_fault(op, values[0]):
            raise _rejected(fault, text, start)
        return values

    def _list(self, op: Operator) -> tuple[Value, ...]:
        text = self._text
        closing = {"(": ")", "[": "]"}[text[self._position]]
        values: list[Value] = []
        while not values or text[self._position] != closing:
            start = self._position = self._skip_space(self._position + 1)
            if text[start] in "\"'":
                value, self._position = self._unquoted(start)
                self._position = self._skip_space(self._position)
                if text[self._position] not in (",", closing):
                    raise _expected(f"a comma or {closing}", text, self._position)
                values.append(value)
                continue
            while text[self._position] not in (",", closing):
                self._position += 1
            value = text[start : self._position].rstrip()
            if not value:
                raise _expected("a value", text, start)
            for typed in _typed(value, op):
                if fault := value_fault(op, typed):
                    raise _rejected(fault, text, start)
                values.append(typed)
        self._position += 1
        return tuple(values)

    def _unquoted(self, start: int) -> tuple[str, int]:
        """Return the content of the quotes at a position, and the position after them."""
        quoted = _QUOTED.match(self._text, start)
        if quoted is None:
            fault = f"the quote {self._text[start]} is not closed; close it at the end"
            raise _rejected(fault, self._text, start)
        content: str = quoted[1] if quoted[1] is not None else quoted[2]
        return re.sub(r"\\([\\\"'])", r"\1", content), quoted.end()

    def _end(self) -> None:
        """Move to what may follow a condition: a connective, a bracket or the end."""
        position = self._skip_space(self._position)
        if self._text[position : position + 1] == (")" if self._depth else ""):
            self._position = position
        elif position == len(self._text):
            raise _rejected("a bracket ( is not closed; close it", self._text, position)
        elif self._position not in self._connectives:
            raise _expected("the end", self._text, position)

    def _value_end(self) -> int:
        """Return where a value without quotes ends."""
        following = bisect_left(self._starts, self._position)
        end = (*self._starts[following : following + 1], len(self._text))[0]
        if not self._depth:
            return end
        opened = 0
        for position in range(self._position, end):
            if self._text[position] == "(":
                opened += 1
            elif self._text[position] == ")":
                if not opened:
                    return position
                opened -= 1
        return end

    def _skip_space(self, position: int) -> int:
        while self._text[position : position + 1].isspace():
            position += 1
        return position

    def _is_group(self, start: int) -> bool:
        """Return whether a bracket encloses conditions; else it is part of a key: `(old) price`."""
        if self._text[start : start + 1] != "(":
            return False
        key_end = _quoted_key_end(self._text, start)
        operator = _OPERATOR.search(self._text, key_end)
        closing = self._text.find(")", key_end)
        return operator is not None and not -1 < closing < operator.start()


def _connectives(text: str) -> Iterator[re.Match[str]]:
    """Yield each `and` and `or` between conditions: a condition follows, not only a word."""
    matches = [*_CONNECTIVE.finditer(text)]
    operator = _OPERATOR.search(text)
    for number, match in enumerate(matches):
        start = match.end()
        if (key_end := _quoted_key_end(text, start)) > start:
            if _SPACED_OPERATOR.match(text, key_end):
                yield match
            continue
        if operator is not None and operator.start() < start:
            operator = _OPERATOR.search(text, start)
        if operator is None:
            return
        end = matches[number + 1].start() if number + 1 < len(matches) else len(text)
        if start < operator.start() < end:
            yield match


def _quoted_key_end(text: str, start: int) -> int:
    """Return where a key in quotes, or in brackets and quotes, ends; else the start."""
    key = _QUOTED_KEY.match(text, start)
    return key.end() if key else start


def _operator(sign: str) -> Operator:
    words = " ".join(sign.lower().split())
    return "=" if words == "==" else next(op for op in OPERATORS if op == words)


def _typed(text: str, op: Operator) -> list[Value]:
    """Return the value that a text stands for; several, where it is an unusual number."""
    if op == "starts with":
        return [text]
    if text.lower() in ("true", "false"):
        return [text.lower() == "true"]
    if _NOT_FINITE.fullmatch(text):
        return [float(text)]
    if op != "has" and (moment := _moment(text)):
        return [moment]
    if not _NUMBER.fullmatch(text):
        return [text]
    # Python refuses to convert thousands of digits, and thirty are out of range already.
    value = int(text[:30]) if _INTEGER.fullmatch(text) else float(text)
    is_spelling = op not in ("=", "!=", "in", "not in") or text in spellings(value)
    return [value] if is_spelling or len(text) > 30 else [value, text]


def _moment(text: str) -> date | None:
    match = _DATE.fullmatch(text)
    try:
        if match is None:
            return None
        if match[1] is None:
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None


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
