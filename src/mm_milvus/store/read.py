"""Whole rows out of a collection: by id, a fair sample, all vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_milvus.keys import ID_DIGITS
from mm_milvus.schema import Field, Modality
from mm_milvus.store.collection import SCAN_ROWS, Collection
from mm_milvus.store.connection import CALL_TIMEOUT_S

BATCH_ROWS = 500
"""Whole rows at a time: metadata may be long."""

SPARE = 4
"""Standard deviations that a sample is read larger than asked for, so that it is seldom short."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A row as it is stored; embedding is float32 of (dim,), caption None for an image."""

    id: str
    item_id: str
    uri: str
    metadata: dict[str, Any]
    caption: str | None
    embedding: NDArray[np.float32]


def sample(collection: Collection, size: int) -> list[Stored]:
    """A random sample of `size` rows (all, if there are fewer), by id, the same every time.

    Ids are hashes, evenly spread: the rows of the least ids are a fair sample, and what is in it
    changes little when rows are added.
    """
    expression = _least_ids(size, collection.count())
    batches = collection.scan_rows(_fields(collection), BATCH_ROWS, expression)
    rows = [_stored(row) for batch in batches for row in batch]
    return sorted(rows, key=lambda row: row.id)[:size]


def sample_embeddings(collection: Collection, size: int, of: int) -> NDArray[np.float32]:
    """The vectors of such a sample, float32 (n, dim), for a search that must not wait.

    of  how many rows there are, as last known: if it is off, more or fewer are read

    Written moments ago may be missing: it does not ask for what other clients wrote.
    """
    with collection.connection.explained(f"cannot read collection {collection.name}"):
        rows = collection.client.query(
            collection.name,
            filter=_least_ids(size, of),
            output_fields=[Field.ID.value, Field.EMBEDDING.value],
            limit=2 * size,
            timeout=CALL_TIMEOUT_S,
        )
    least = sorted(rows, key=lambda row: str(row[Field.ID]))[:size]
    return np.asarray([row[Field.EMBEDDING] for row in least], dtype=np.float32)


def stored(collection: Collection, ids: Sequence[str]) -> dict[str, Stored]:
    """The whole rows of those ids that are stored."""
    return {row[Field.ID]: _stored(row) for row in collection.get(ids, _fields(collection))}


def scan_embeddings(
    collection: Collection,
) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """All ids and their vectors, float32 of (n, dim), some thousands at a time."""
    for batch in collection.scan_rows([Field.EMBEDDING], SCAN_ROWS):
        embeddings = [row[Field.EMBEDDING] for row in batch]
        yield [row[Field.ID] for row in batch], np.asarray(embeddings, dtype=np.float32)


def _least_ids(size: int, of: int) -> str:
    """What the ids of about so many rows meet; empty, where that is all of them."""
    share = (size + SPARE * math.sqrt(size)) / max(1, of)
    bound = f"{int(share * 16**ID_DIGITS):0{ID_DIGITS}x}"
    return f'{Field.ID} < "{bound}"' if share < 1 else ""


def _fields(collection: Collection) -> list[Field]:
    fields = [Field.ITEM_ID, Field.URI, Field.METADATA, Field.EMBEDDING]
    return [*fields, Field.CAPTION] if collection.modality is Modality.TEXT else fields


def _stored(row: dict[str, Any]) -> Stored:
    return Stored(
        id=row[Field.ID],
        item_id=row[Field.ITEM_ID],
        uri=row[Field.URI],
        metadata=row[Field.METADATA],
        caption=row.get(Field.CAPTION),
        embedding=np.asarray(row[Field.EMBEDDING], dtype=np.float32),
    )
