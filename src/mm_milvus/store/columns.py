"""Typed columns of metadata keys: found in a sample of the data; values that do not fit them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mm_milvus.limits import FAMILIES, MIN_INTEGER, column_value, family

MAX_COLUMNS = 40
"""Columns that are found in the data: a server takes 64 fields, those of every row included."""

MAX_MEAN_BYTES = 512
"""Texts that are longer on average are read and not compared: a column would store them again."""


@dataclass(slots=True)
class _Values:
    """The values of one key in a sample."""

    families: Counter[str] = field(default_factory=Counter)
    text_bytes: int = 0
    only_int64: bool = True

    def add(self, value: Any) -> None:
        self.families[family(value)] += 1
        if isinstance(value, str):
            self.text_bytes += len(value.encode())
        elif isinstance(value, float) or (
            isinstance(value, int) and not MIN_INTEGER < value < -MIN_INTEGER
        ):
            self.only_int64 = False

    def kind(self) -> str | None:
        """Return the type of a column that fits most of the values; None if there is none."""
        [(most, count)] = self.families.most_common(1)
        if 2 * count <= self.families.total():
            return None
        match most:
            case "boolean":
                return "bool"
            case "number":
                return "int64" if self.only_int64 else "double"
            case "text" if self.text_bytes <= MAX_MEAN_BYTES * count:
                return "varchar"
        return None


def can_be_column(key: str) -> bool:
    """Return whether a key may have a column; a filter takes a dot for a step into an object."""
    return bool(key) and "." not in key


def find_columns(sample: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the metadata keys that can be typed columns, and the types of these.

    A key is a column when more than half of its values are of one type; missing values and null
    do not count. Where there are more than `MAX_COLUMNS`, the most frequent keys are.

    Args:
        sample: JSON objects, the metadata of some items.
    """
    values: dict[str, _Values] = {}
    for metadata in sample:
        for key, value in metadata.items():
            if value is not None and can_be_column(key):
                values.setdefault(key, _Values()).add(value)
    kinds = {key: kind for key, of_key in values.items() if (kind := of_key.kind())}
    frequent = sorted(kinds, key=lambda key: (-values[key].families.total(), key))
    return {key: kinds[key] for key in kinds if key in {*frequent[:MAX_COLUMNS]}}


@dataclass(slots=True)
class UnfitValues:
    """What the metadata of items has, and the columns have not.

    Attributes:
        counts: By key, how many values do not fit its column.
        families: By key, what these values are, as `limits.family` names it.
        keys: Keys with scalar values that have no column.
    """

    counts: Counter[str] = field(default_factory=Counter)
    families: dict[str, set[str]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)

    def add(
        self, metadata: Mapping[str, Any], columns: Mapping[str, str], *, nullable: bool
    ) -> None:
        """Count the values of one item that do not fit its columns."""
        for key, value in metadata.items():
            if value is None:
                continue
            kind = columns.get(key)
            if kind is None:
                if family(value) in FAMILIES.values() and can_be_column(key):
                    self.keys.add(key)
            elif column_value(kind, value, nullable=nullable) is None:
                self.counts[key] += 1
                self.families.setdefault(key, set()).add(family(value))
