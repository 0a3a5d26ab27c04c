"""A small typed filter, and its safe rendering to a Milvus boolean expression.

A value can never become part of the expression's grammar: strings are rendered as literals that
Milvus Lite and the server (2.3 to 2.6) read back to the same characters, keys as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mm_milvus.errors import QueryError
from mm_milvus.schema import Field

Operator = Literal["=", "!=", "<=", ">=", "<", ">", "has"]
Value = str | int | float | bool

HINT = "write KEY OP VALUE, as in price<50, color=red or 'tags has sale'"

_CONDITION = re.compile(
    r"\s*(?P<key>[^\s=!<>\"']+?)"
    r"(?:\s*(?P<sign><=|>=|!=|==|=|<|>)\s*|\s+(?P<has>has)\s+)"
    r"(?P<value>.*?)\s*",
    re.DOTALL,
)
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'", re.DOTALL)
_INTEGER = re.compile(r"[+-]?\d+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on the metadata.

    field  a metadata key; dots lead into nested objects: `size.eu`
    op     `=`, `!=`, `<`, `<=`, `>`, `>=`, or `has`: the key's list contains the value
    value  a string, a number or a boolean; a number never equals a string

    A row without the key meets no condition, not even `!=`. (Milvus Lite takes a stored true for
    the number 1.)
    """

    field: str
    op: Operator
    value: Value

    def __post_init__(self) -> None:
        """Refuse what no engine can compare, with a `QueryError`."""
        if self.op not in get_args(Operator):
            raise QueryError(f"unknown operator {self.op!r}: there are {', '.join(_OPERATORS)}")
        if not all(self.field.split(".")) or _CONTROL.search(self.field):
            raise QueryError(f"{self.field!r} is no metadata key; {HINT}")
        if isinstance(self.value, float) and not math.isfinite(self.value):
            raise QueryError(f"{self.field}: {self.value} compares with nothing; give a number")
        if isinstance(self.value, int) and not -(2**63) <= self.value < 2**63:
            raise QueryError(f"{self.field}: {self.value} does not fit into 64 bits")
        if isinstance(self.value, bool) and self.op in ("<", "<=", ">", ">="):
            raise QueryError(f"{self.field}: true and false have no order; use = or !=")
        if isinstance(self.value, str) and not _is_unicode(self.value):
            raise QueryError(f"{self.field}: the value is not valid Unicode")


COLUMN_VALUES: dict[str, tuple[type, ...]] = {
    "varchar": (str,),
    "double": (int, float),
    "int64": (int,),
    "bool": (bool,),
}

_OPERATORS: tuple[str, ...] = get_args(Operator)


def parse_condition(text: str) -> Condition:
    r"""Read `KEY OP VALUE`: `price<50`, `color=red`, `tags has sale`, `name="O'Neil"`.

    An unquoted number, `true` or `false` is one; anything else is a string, and quotes make a
    string of anything: `size="42"`. In quotes, a backslash takes the next character as it is.

    Raises `QueryError` that points at the place.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise _refused(text, _first_bad(text), "expected KEY OP VALUE")
    value, start = match["value"], match.start("value")
    if not value:
        raise _refused(text, start, "expected a value")
    op = match["has"] or match["sign"].replace("==", "=")
    return Condition(match["key"], op, _value(text, value, start))  # type: ignore[arg-type]


def render(conditions: Sequence[Condition], columns: Mapping[str, str]) -> str:
    """The conditions as one Milvus expression that all of them must meet; "" for none.

    columns  the promoted metadata keys and their types: they are compared as columns, which is
             faster than a look into the JSON

    Raises `QueryError` when a value does not fit its column's type.
    """
    return " and ".join(_render(condition, columns) for condition in conditions)


def _render(condition: Condition, columns: Mapping[str, str]) -> str:
    literal = _literal(condition.value)
    kind = columns.get(condition.field)
    if kind is not None and condition.op != "has":
        _check_type(condition, kind)
        return f"{condition.field} {_sign(condition.op)} {literal}"
    path = Field.METADATA + "".join(f"[{_literal(key)}]" for key in condition.field.split("."))
    if condition.op == "has":
        return f"json_contains({path}, {literal})"
    if condition.op == "!=":
        # Milvus Lite leaves rows without the key out of !=, the server puts them in.
        return f"((exists {path}) and ({path} != {literal}))"
    return f"{path} {_sign(condition.op)} {literal}"


def _sign(op: Operator) -> str:
    return "==" if op == "=" else op


def _check_type(condition: Condition, kind: str) -> None:
    accepted = COLUMN_VALUES[kind]
    value = condition.value
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind != "bool"):
        raise QueryError(f"{condition.field} is a column of type {kind}, and {value!r} is not")


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return f'"{value.translate(_ESCAPES)}"'


def _value(text: str, value: str, start: int) -> Value:
    if value[0] in "\"'":
        quoted = _QUOTED.fullmatch(value)
        if quoted is None:
            raise _refused(text, start, f"the quote {value[0]} is not closed at the end")
        return re.sub(
            r"\\(.)", r"\1", quoted[1] if quoted[1] is not None else quoted[2], flags=re.DOTALL
        )
    if value[0] in "<>=!":
        raise _refused(text, start, f"expected a value, found {value[0]!r}")
    if value in ("true", "false"):
        return value == "true"
    if _INTEGER.fullmatch(value):
        return int(value[:40])
    try:
        return float(value)
    except ValueError:
        return value


def _first_bad(text: str) -> int:
    """Where the reading of a text that is no condition stops."""
    key = re.match(r"\s*[^\s=!<>\"']+\s*", text)
    return key.end() if key else len(text) - len(text.lstrip())


def _refused(text: str, place: int, why: str) -> QueryError:
    shown = " ".join(text.split())
    return QueryError(f"filter {shown!r}: {why}, at character {place + 1}; {HINT}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
