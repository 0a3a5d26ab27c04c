"""The typed columns of metadata keys, and when a condition can be checked in one."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from mm_milvus.errors import QueryError
from mm_milvus.filters.condition import COMPARE, MAX_INT64, Condition, excerpt
from mm_milvus.limits import FAMILIES, MISSING, family
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

    def column_for(self, condition: Condition) -> str:
        """Return the column that answers a comparison as the metadata does; "" if there is none.

        A comparison with a missing value, and with one that does not fit the column, is included:
        where such values may meet the condition, the metadata must be looked up.

        Raises:
            QueryError: When no stored value of the key can be compared with the condition's.
        """
        kind = self.types.get(condition.field)
        if kind is None or "." in condition.field:  # a dot leads into an object
            return ""
        value_family = family(condition.value)
        if value_family in self.unfit.get(condition.field, ()):
            return ""
        if value_family != FAMILIES[kind] or _is_never_met(kind, condition):
            if value_family != FAMILIES[kind] and self.unfit.get(condition.field):
                return ""
            raise QueryError(
                f"filter {excerpt(str(condition))}: the column {condition.field} is of type "
                f"{kind}; compare it with {_COMPARABLE[kind]}"
            )
        name = column_name(condition.field)
        if not _COLUMN.fullmatch(name) or not _is_exact(kind, condition.value):
            return ""
        # An int64 column is guarded by the expression.
        if self.nullable or (kind == "int64" and condition.op != "!="):
            return name
        meets = COMPARE[condition.op](MISSING[kind], condition.value)
        return name if meets == (condition.op == "!=") else ""


def _is_never_met(kind: str, condition: Condition) -> bool:
    """Return whether a whole number is compared for equality with a fraction."""
    value = condition.value
    return kind == "int64" and condition.op in ("=", "!=") and value != int(value)


def _is_exact(kind: str, value: object) -> bool:
    """Return whether an engine compares the value exactly with a column of numbers."""
    if kind == "int64":
        return isinstance(value, int | float) and abs(value) <= MAX_INT64
    if kind == "double" and isinstance(value, int):
        return int(float(value)) == value
    return True
