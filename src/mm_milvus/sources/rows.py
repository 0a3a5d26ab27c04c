"""A row of a table, whatever the table's format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SAMPLE = 1000
"""The rows at the head of a text file that say what its columns are."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row, counted from 1: its values, or the reason why it has none."""

    number: int
    values: dict[str, Any] | None = None
    fault: str | None = None
