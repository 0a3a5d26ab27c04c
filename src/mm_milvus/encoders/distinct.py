"""Texts through a tower: each distinct one once, those of like length together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Tokens = TypeVar("Tokens")


def encode_distinct(
    texts: Sequence[str],
    tokens_of: Callable[[list[str]], Sequence[Tokens]],
    length: Callable[[Tokens], int],
    encode: Callable[[list[Tokens]], NDArray[Any]],
) -> NDArray[Any]:
    """Rows (n, dim) of n texts in the given order, of the type that `encode` gives.

    tokens_of  the tokens of each distinct text; not called without a text
    encode     rows (m, dim) of the tokens of m texts, which come the longest first: batches that
               are cut from them need little padding, and the first takes the most memory
    """
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    tokens = tokens_of(list(places)) if places else []
    order = sorted(range(len(tokens)), key=lambda place: -length(tokens[place]))
    rows = encode([tokens[place] for place in order])
    unsorted = np.empty_like(rows)
    unsorted[order] = rows
    return unsorted[[places[text] for text in texts]]
