"""Arguments of a search as callers write them: one or several values, numbers and texts."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from numbers import Real
from typing import SupportsIndex, cast

from mm_milvus.errors import OptionError, QueryError
from mm_milvus.text import is_utf8

MAX_SHOWN = 60
"""Characters of a value in a message."""


def is_iterable(values: object) -> bool:
    """Return whether an object is several values: no text, no bytes, no mapping, and iterable."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        return False
    try:
        iter(values)
    except TypeError:  # an array without dimensions
        return False
    return True


def several(
    values: object, is_single: Callable[[object], bool] = lambda _value: False
) -> tuple[object, ...]:
    """Return one value, or an iterable of values, as a tuple; None as an empty one.

    Args:
        values: Any object.
        is_single: Returns whether an iterable object is one value all the same.
    """
    if values is None:
        return ()
    if is_single(values) or not is_iterable(values):
        return (values,)
    return tuple(cast("Iterable[object]", values))


def whole_number(name: str, value: object) -> int:
    """Return a value as an int. Raises OptionError unless it is a whole number."""
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        with suppress(TypeError):  # an array that holds no single integer
            return operator.index(value)
    raise OptionError(f"{name} is {shown(value)}, and must be a whole number")


def number(name: str, value: object) -> float:
    """Return a value as a float. Raises OptionError unless it is a number."""
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):
            return float(value)
    raise OptionError(f"{name} is {shown(value)}, and must be a number")


def shown(value: object) -> str:
    """Return a value for a message, if it is short; else its type."""
    text = repr(value) if isinstance(value, str | int | float) else ""
    return text if 0 < len(text) <= MAX_SHOWN else f"given as {type(value).__name__}"


def text(name: str, value: object) -> str:
    """Return a value as a text, None as an empty one. Raises QueryError for anything else."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise QueryError(f"`{name}` is given as {type(value).__name__}; give a text")
    if not is_utf8(value):
        raise QueryError(f"`{name}` is {value!r}, which is not valid Unicode (a lone surrogate)")
    return str(value)
