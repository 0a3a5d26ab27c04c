"""The typed columns of metadata keys, and when a condition can be checked in one."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

from mm_milvus.errors import QueryError
from mm_milvus.filters.condition import (
    COMPARE,
    MAX_INT64,
    Condition,
    Test,
    excerpt,
    tests_of,
    text_ranges,
)
from mm_milvus.limits import MISSING, family
from mm_milvus.schema import column_name

_COMPARABLE = {
    "double": "a number",
    "int64": "a whole number",
    "varchar": "a text, in quotes",
    "bool": "true or false",
}

_COLUMN = re.compile(
    r"(?!(?:and|or|not|in|like|is|null|exists|true|false|(?:json|array|text|phrase|st)_\w+)$)\w+",
    re.IGNORECASE | re.ASCII,
)
"""A column that an expression can name: not one of the grammar's own words."""


@dataclass(frozen=True, slots=True)
class FilterColumns:
    """The metadata keys that have a typed column.

    Attributes:
        types: By key, the type: `double`, `int64`, `varchar` or `bool`.
        unfit: By key, what is stored in the metadata and not in the column: any of "number",
            "text", "boolean" and "other", as `limits.family` names it.
        nullable: Whether the columns are nullable; otherwise `limits.MISSING` takes the place of a
            missing value.
    """

    types: Mapping[str, str]
    unfit: Mapping[str, Collection[str]] = field(default_factory=dict)
    nullable: bool = False

    def lookup(self, condition: Condition) -> ColumnTests | None:
        """Return how a column answers a condition as the metadata does; None where it does not.

        A comparison with a missing value, and with one that does not fit the column, is included:
        where such values may meet the condition, the metadata must be looked up.

        Raises:
            QueryError: When no stored value of the key can be compared with the condition's.
        """
        key = condition.field
        kind = self.types.get(key)
        if kind is None or "." in key or condition.op == "has":  # a dot leads into an object
            return None
        name, unfit = column_name(key), self.unfit.get(key, ())
        if condition.op in ("exists", "not exists"):
            is_exact = self.nullable and not unfit and _COLUMN.fullmatch(name)
            return ColumnTests(name, kind, (), nullable=True) if is_exact else None
        tests = tests_of(condition)
        if any(_family(test.value) in unfit for test in tests):
            return None
        fitting = [fitted for test in tests if (fitted := _fitted(test, kind)) is not None]
        if not fitting:
            if unfit:
                return None
            raise QueryError(
                f"filter {excerpt(str(condition))}: the column {key} is of type "
                f"{kind}; compare it with {_COMPARABLE[kind]}"
            )
        if not _COLUMN.fullmatch(name) or not all(_is_exact(kind, test.value) for test in fitting):
            return None
        if not self.nullable and any(_is_met_by_missing(kind, test) for test in fitting):
            return None
        return ColumnTests(name, kind, tuple(fitting), nullable=self.nullable)


@dataclass(frozen=True, slots=True)
class ColumnTests:
    """The comparisons of a column that answer a condition.

    Attributes:
        name: The column.
        kind: Its type.
        tests: Of these one must hold; of a negative condition, all.
        nullable: Whether a missing value is null.
    """

    name: str
    kind: str
    tests: tuple[Test, ...]
    nullable: bool


def _family(value: object) -> str:
    return "text" if isinstance(value, date) else family(value)


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


def _is_met_by_missing(kind: str, test: Test) -> bool:
    """Return whether the mark of a missing value answers otherwise than a missing value does."""
    missing = MISSING[kind]
    if (ranges := text_ranges(test.op, test.value)) is not None:
        return any(low <= missing for low, _ in ranges)
    if kind == "int64" and test.op != "!=":  # the expression leaves the mark out
        return False
    return COMPARE[test.op](missing, test.value) != (test.op == "!=")


def _is_exact(kind: str, value: object) -> bool:
    """Return whether an engine compares the value exactly with a column of numbers."""
    if kind == "int64":
        return isinstance(value, int | float) and abs(value) <= MAX_INT64
    if kind == "double" and isinstance(value, int):
        return int(float(value)) == value
    return True
