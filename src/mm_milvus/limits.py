"""Limits of an item and its rows, checked before any engine is called.

Milvus Lite accepts NaN vectors and JSON of any size, and a Milvus server refuses them. Everything
is checked here instead, so that every engine behaves alike. What no engine takes is an `ItemError`:
a run rejects the item and continues.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mm_milvus.arrays import Vector
from mm_milvus.errors import ItemError
from mm_milvus.schema import Field
from mm_milvus.text import is_utf8

MAX_BYTES = {
    Field.ID: 32,
    Field.ITEM_ID: 1024,
    Field.URI: 4096,
    Field.CONTENT_HASH: 32,
    Field.DETAIL_HASH: 32,
    Field.CAPTION: 65_535,
}
"""Maximum length of each text field, in bytes of UTF-8."""

MAX_METADATA_BYTES = 65_536
MAX_COLUMN_BYTES = 4096
UNIT_LENGTH_TOLERANCE = 1e-3

MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1
"""Range of the integers that both engines store and return unchanged."""

MAX_DIGITS = 21
"""Digits and sign of an integer that may be in the range."""
SHOWN_DIGITS = 30


def check_text(field: Field, value: str) -> None:
    """Raise ItemError when a value is too long for its field."""
    size = len(value.encode())
    if size > MAX_BYTES[field]:
        raise ItemError(f"{field} is {size:,} bytes long, over the limit of {MAX_BYTES[field]:,}")


def parse_metadata(text: str, columns: Mapping[str, str]) -> dict[str, Any]:
    """Parse a JSON object that every engine can store.

    Args:
        text: The JSON object.
        columns: Promoted metadata keys and their types, as in the manifest.

    Returns:
        The object. It has no integer of more than 64 bits, no number that is not finite, and no
        text that is not valid Unicode: the engines refuse these, or store something else.

    Raises:
        ItemError: With the reason, when an engine or a column would not store it.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_METADATA_BYTES:
        raise ItemError(
            f"metadata is {size:,} bytes long, over the limit of {MAX_METADATA_BYTES:,}"
        )
    try:
        metadata = json.loads(
            text, parse_constant=_reject_constant, parse_int=_integer, parse_float=_number
        )
    except (ValueError, RecursionError) as error:
        raise ItemError(f"metadata is not JSON: {error}") from error
    if not isinstance(metadata, dict):
        raise ItemError(f"metadata is a JSON {type(metadata).__name__}, not an object")
    # A lone surrogate stands in the text itself, or as an escape.
    if not is_utf8(text) or ("\\ud" in text.lower() and not is_utf8(_dumped(metadata))):
        raise ItemError("metadata has text that is not valid Unicode (a lone surrogate)")
    for name, kind in columns.items():
        column_value(name, kind, metadata.get(name))
    return metadata


def _integer(digits: str) -> int:
    # Python refuses to convert thousands of digits; twenty are out of range already.
    number = int(digits[:MAX_DIGITS])
    if len(digits) > MAX_DIGITS or not MIN_INTEGER <= number <= MAX_INTEGER:
        raise ItemError(
            f"metadata has the integer {_cut(digits)}, and integers have 64 bits at most; "
            "write it as text, in quotes"
        )
    return number


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ItemError(
            f"metadata has the number {_cut(digits)}, which is too large; write it as text, "
            "in quotes"
        )
    return number


def _cut(digits: str) -> str:
    return digits if len(digits) <= SHOWN_DIGITS else f"{digits[:SHOWN_DIGITS]}…"


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def column_value(name: str, kind: str, value: Any) -> Any:
    """Return the value of a promoted column.

    Milvus 2.3 has no null. A missing double is NaN, which no comparison except != finds; a missing
    varchar is empty; an int64 or a bool has no such value, so a missing one is an error.

    Args:
        name: The metadata key.
        kind: The type of the column, one of `choices.ColumnType`.
        value: The value in the metadata; None if it is missing.

    Raises:
        ItemError: When the value does not fit the column.
    """
    match kind, value:
        case "double", None:
            return math.nan
        case "double", int() | float() if not isinstance(value, bool):
            return float(value)
        case "varchar", None:
            return ""
        case "varchar", str() if len(value.encode()) <= MAX_COLUMN_BYTES:
            return value
        case "int64", int() if not isinstance(value, bool) and -(2**63) <= value < 2**63:
            return value
        case "bool", bool():
            return value
    shown = "missing" if value is None else _dumped(value)[:60]
    raise ItemError(f"metadata key {name} is promoted to {kind} and is {shown}")


def check_embedding(embedding: Vector, dim: int) -> None:
    """Raise ItemError when a vector cannot be stored.

    Args:
        embedding: Must be float32 (dim,), finite, and of unit length.
        dim: Numbers per vector of the dataset.
    """
    if embedding.shape != (dim,):
        raise ItemError(f"its vector has {embedding.size} numbers, not {dim}")
    with np.errstate(over="ignore"):
        length = float(np.linalg.norm(embedding))
    if not math.isfinite(length):
        raise ItemError("its vector is not finite")
    if abs(length - 1) >= UNIT_LENGTH_TOLERANCE:
        raise ItemError(f"its vector has the length {length:.4g}, not 1")


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not allowed in JSON")
