"""Whole rows out of a collection: by id, a fair sample, all vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mm_milvus.keys import ID_DIGITS, caption_key
from mm_milvus.schema import Field
from mm_milvus.store.collection import SCAN_ROWS, Collection
from mm_milvus.store.connection import CALL_TIMEOUT_S
from mm_milvus.store.retry import retry_while_loading
from mm_milvus.store.rows import Row

T = TypeVar("T")

BATCH_ROWS = 500
"""Whole rows at a time: metadata may be long."""

SPARE = 4
"""Standard deviations that a sample is read larger than asked for, so that it is seldom short."""


def sample(collection: Collection, size: int) -> list[Row]:
    """A random sample of `size` rows (all, if there are fewer), by id, the same every time.

    Ids are hashes, evenly spread: the rows of the least ids are a fair sample, and what is in it
    changes little when rows are added.
    """
    expression = _least_ids(size, collection.count())
    batches = collection.scan_rows(_fields(collection), BATCH_ROWS, expression)
    rows = [_row(row) for batch in batches for row in batch]
    return sorted(rows, key=lambda row: row.id)[:size]


def sample_embeddings(collection: Collection, size: int, of: int) -> NDArray[np.float32]:
    """The vectors of such a sample, float32 (n, dim), for a search that must not wait.

    of  how many rows there are, as last known: if it is off, more or fewer are read

    Written moments ago may be missing: it does not ask for what other clients wrote.
    """
    with collection.store.explained(f"cannot read collection {collection.name}"):
        rows = retry_while_loading(
            collection.client.query,
            collection.name,
            filter=_least_ids(size, of),
            output_fields=[Field.ID.value, Field.EMBEDDING.value],
            limit=2 * size,
            timeout=CALL_TIMEOUT_S,
        )
    least = sorted(rows, key=lambda row: str(row[Field.ID]))[:size]
    return np.asarray([row[Field.EMBEDDING] for row in least], dtype=np.float32)


def stored_rows(collection: Collection, ids: Sequence[str]) -> list[Row]:
    """Those of the ids that are stored, as whole rows."""
    return [_row(found) for found in collection.get(ids, _fields(collection))]


def captions_in_order(
    item_ids: Sequence[str], get: Callable[[list[str]], Mapping[str, T]], at_once: int = 1
) -> dict[str, list[T]]:
    """What there is of each item's captions, in their order; nothing of an item without any.

    get      gives what is stored of some primary keys of the text collection
    at_once  how many captions of an item are asked for in a call

    Captions are numbered without gaps: an item without one has none of the later ones.
    """
    found: dict[str, list[T]] = {}
    first, left = 0, list(item_ids)
    while left:
        numbers = range(first, first + at_once)
        keys = {item_id: [caption_key(item_id, n) for n in numbers] for item_id in left}
        stored = get([key for own in keys.values() for key in own])
        for item_id, own in keys.items():
            if captions := [stored[key] for key in own if key in stored]:
                found.setdefault(item_id, []).extend(captions)
        left = [item_id for item_id, own in keys.items() if own[-1] in stored]
        first += at_once
    return found


def stored_captions(texts: Collection, item_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The rows of each item's captions, in their order; nothing of an item without any."""
    return captions_in_order(
        item_ids, lambda keys: {row.id: row for row in stored_rows(texts, keys)}
    )


def scan_embeddings(
    collection: Collection,
) -> Iterator[tuple[list[tuple[str, str]], NDArray[np.float32]]]:
    """All (id, item_id) and their vectors, float32 of (n, dim), some thousands at a time."""
    for batch in collection.scan_rows([Field.ITEM_ID, Field.EMBEDDING], SCAN_ROWS):
        embeddings = [row[Field.EMBEDDING] for row in batch]
        keys = [(row[Field.ID], row[Field.ITEM_ID]) for row in batch]
        yield keys, np.asarray(embeddings, dtype=np.float32)


def _least_ids(size: int, of: int) -> str:
    """What the ids of about so many rows meet; empty, where that is all of them."""
    share = (size + SPARE * math.sqrt(size)) / max(1, of)
    bound = f"{int(share * 16**ID_DIGITS):0{ID_DIGITS}x}"
    return f'{Field.ID} < "{bound}"' if share < 1 else ""


def _fields(collection: Collection) -> list[Field]:
    return [*collection.text_fields[1:], Field.EMBEDDING, Field.METADATA]


def _row(found: dict[str, Any]) -> Row:
    return Row(
        id=found[Field.ID],
        item_id=found[Field.ITEM_ID],
        uri=found[Field.URI],
        content_hash=found[Field.CONTENT_HASH],
        detail_hash=found[Field.DETAIL_HASH],
        embedding=np.asarray(found[Field.EMBEDDING], dtype=np.float32),
        metadata=found[Field.METADATA],
        caption=found.get(Field.CAPTION),
    )
