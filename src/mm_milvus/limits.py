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
MAX_ANSWER_BYTES = 32 * 2**20
"""A read asks for no more rows than fit into this if each is as long as it may be: a gRPC message
is limited to 64 MB."""
MAX_COLUMN_BYTES = 4096
"""Maximum length of a text in a column that is not nullable, in bytes of UTF-8."""
MAX_NULLABLE_BYTES = 65_535
"""The same for a nullable column: every text that metadata can have fits."""
UNIT_LENGTH_TOLERANCE = 1e-3

MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1
"""Range of the integers that both engines store and return unchanged."""

MISSING: Mapping[str, Any] = {
    "double": math.nan,
    "varchar": "",
    "int64": MIN_INTEGER,
    "bool": False,
}
"""The value of a column that is not nullable, by its type, where the key has none that fits."""

FAMILIES = {"double": "number", "int64": "number", "varchar": "text", "bool": "boolean"}
"""The values that a column of each type holds, as `family` names them."""

MAX_DIGITS = 21
"""Digits and sign of an integer that may be in the range."""
SHOWN_DIGITS = 30


def check_text(field: Field, value: str) -> None:
    """Raise ItemError when a value is too long for its field."""
    size = len(value.encode())
    if size > MAX_BYTES[field]:
        raise ItemError(f"{field} is {size:,} bytes long, over the limit of {MAX_BYTES[field]:,}")


def parse_metadata(text: str) -> dict[str, Any]:
    """Parse a JSON object that every engine can store.

    Args:
        text: The JSON object.

    Returns:
        The object. It has no integer of more than 64 bits, no number that is not finite, and no
        text that is not valid Unicode: the engines refuse these, or store something else.

    Raises:
        ItemError: With the reason, when an engine would not store it.
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


def family(value: Any) -> str:
    """Return what a JSON value is, for a comparison: "number", "text", "boolean" or "other"."""
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
    return "other"


def column_value(kind: str, value: Any, *, nullable: bool) -> Any:
    """Return what a typed column stores for a metadata value; None where the value does not fit.

    A number fits when the column gives exactly that number back.

    Args:
        kind: The type of the column, one of `choices.ColumnType`.
        value: The value in the metadata; None if it is missing.
        nullable: Whether the column is nullable: such a column takes longer texts.
    """
    match kind, value:
        case "bool", bool():
            return value
        case _, bool():
            return None
        case "double", float():
            return value
        case "double", int() if int(float(value)) == value:
            return float(value)
        case "int64", int() | float() if value == int(value) and abs(value) < 2**63:
            return int(value)
        case "varchar", str():
            limit = MAX_NULLABLE_BYTES if nullable else MAX_COLUMN_BYTES
            return value if len(value.encode()) <= limit else None
    return None


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
