"""Read rows of a collection: by id, a random sample, pages of keys, all vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from mm_milvus.arrays import Vectors
from mm_milvus.keys import ID_DIGITS, caption_key
from mm_milvus.schema import Field
from mm_milvus.store.collection import (
    LOOKUP_ROWS,
    SCAN_ROWS,
    Collection,
    explained_expression,
)
from mm_milvus.store.connection import CALL_TIMEOUT_S
from mm_milvus.store.retry import retry_while_loading
from mm_milvus.store.rows import Row

T = TypeVar("T")

BATCH_ROWS = 250
"""Whole rows per read. A message has 64 MB at most; metadata and a caption of the greatest length,
with a vector of 4,096 numbers, have 150 kB."""

PAGE_ROWS = 10_000
"""Keys per read. Each read compares all rows with the last key, so a short page costs as much as a
long one; ids of the greatest length are 10 MB."""

CAPTIONS_PER_CALL = 4
"""How many captions of each item are looked up per call: most items have no more."""

SPARE = 4
"""Standard deviations by which a sample is read larger than needed, so that it is seldom short."""


def sample(collection: Collection, size: int) -> list[Row]:
    """Return a random sample of rows, ordered by id, the same every time.

    Ids are hashes, evenly spread: the rows with the smallest ids are a fair sample, and it changes
    little when rows are added.

    Args:
        collection: The collection to sample.
        size: Number of rows; all, if there are fewer.
    """
    expression = _smallest_ids(size, collection.count())
    batches = collection.scan_rows(_fields(collection), BATCH_ROWS, expression)
    rows = [_row(fields) for batch in batches for fields in batch]
    return sorted(rows, key=lambda row: row.id)[:size]


def sample_embeddings(collection: Collection, size: int, of: int) -> Vectors:
    """Return the vectors of such a sample without waiting for recent writes.

    Rows that were written moments ago may be missing: the read does not ask for the writes of
    other clients.

    Args:
        collection: The collection to sample.
        size: Number of rows.
        of: Row count of the collection, as last known: where it is wrong, more or fewer rows are
            read.

    Returns:
        float32 (n, dim).
    """
    with collection.store.explained(f"cannot read collection {collection.name}"):
        rows = retry_while_loading(
            collection.client.query,
            collection.name,
            filter=_smallest_ids(size, of),
            output_fields=[Field.ID.value, Field.EMBEDDING.value],
            limit=2 * size,
            timeout=CALL_TIMEOUT_S,
        )
    smallest = sorted(rows, key=lambda row: str(row[Field.ID]))[:size]
    return np.asarray([row[Field.EMBEDDING] for row in smallest], dtype=np.float32)


def sample_metadata(collection: Collection, size: int) -> list[dict[str, Any]]:
    """Return the metadata of some rows; fewer than `size` are all that there are.

    As in `sample_embeddings`, rows that were written moments ago may be missing.
    """
    return [row[Field.METADATA] for row in _some(collection, "", Field.METADATA, size)]


def has_rows(collection: Collection, expression: str) -> bool:
    """Return whether a row meets an expression."""
    return bool(_some(collection, expression, Field.ID, 1))


def key_pages(
    collection: Collection,
    expression: str = "",
    *,
    after: str = "",
    limit: int | None = None,
    fields: Sequence[Field] = (),
) -> Iterator[list[dict[str, Any]]]:
    """Yield rows in lists, in the order of their primary keys: the id, the item_id and fields.

    Unlike an offset, a key costs the same for every page, and rows that are written or deleted
    meanwhile shift no page. Rows that were written moments ago may be missing, until after a count.

    Args:
        collection: The collection to read.
        expression: A Milvus boolean expression that the rows must meet (default: all rows).
        after: The primary key of the row before the first one; "" to begin.
        limit: How many rows are wanted (default: all): the first page is as long. Later ones, for
            callers that leave rows out, are longer.
        fields: What to read in addition.

    Raises:
        QueryError: When the engine refuses the expression.
    """
    longest = LOOKUP_ROWS if Field.EMBEDDING in fields else PAGE_ROWS
    size = longest if limit is None else min(limit, longest)
    names = [Field.ID.value, Field.ITEM_ID.value, *(field.value for field in fields)]
    # A server may end a page before its limit: the last page is the empty one.
    while rows := _key_page(collection, expression, after, size, names):
        yield rows
        after, size = rows[-1][Field.ID], min(2 * size, longest)


def _key_page(
    collection: Collection, expression: str, after: str, limit: int, names: list[str]
) -> list[dict[str, Any]]:
    following = f'{Field.ID} > "{after}"'
    with (
        collection.store.explained(f"cannot read collection {collection.name}"),
        explained_expression(expression),
    ):
        return list(
            retry_while_loading(
                collection.client.query,
                collection.name,
                filter=f"{following} and ({expression})" if expression else following,
                output_fields=names,
                limit=limit,
                timeout=CALL_TIMEOUT_S,
                # Only the reads of an iterator are ordered by the primary key.
                iterator="True",
                reduce_stop_for_best="True",
            )
        )


def _some(collection: Collection, expression: str, field: Field, limit: int) -> Any:
    with collection.store.explained(f"cannot read collection {collection.name}"):
        return retry_while_loading(
            collection.client.query,
            collection.name,
            filter=expression,
            output_fields=[field.value],
            limit=limit,
            timeout=CALL_TIMEOUT_S,
        )


def stored_rows(collection: Collection, ids: Sequence[str]) -> list[Row]:
    """Return the whole row of each id that is stored, in no order."""
    return [_row(fields) for fields in collection.get(ids, _fields(collection))]


def captions_in_order(
    item_ids: Sequence[str], get: Callable[[list[str]], Mapping[str, T]], captions_per_call: int = 1
) -> dict[str, list[T]]:
    """Look up all captions of some items.

    Captions are numbered without gaps: an item without caption n has none of the later ones.

    Args:
        item_ids: The items.
        get: Returns what is stored under some primary keys of the text collection, by key.
        captions_per_call: How many captions of each item are looked up per call.

    Returns:
        For each item with a caption, what `get` returned of its captions, in their order.
    """
    captions: dict[str, list[T]] = {}
    first, remaining = 0, list(item_ids)
    while remaining:
        numbers = range(first, first + captions_per_call)
        keys = {item_id: [caption_key(item_id, n) for n in numbers] for item_id in remaining}
        stored = get([key for item_keys in keys.values() for key in item_keys])
        for item_id, item_keys in keys.items():
            if present := [stored[key] for key in item_keys if key in stored]:
                captions.setdefault(item_id, []).extend(present)
        remaining = [item_id for item_id, item_keys in keys.items() if item_keys[-1] in stored]
        first += captions_per_call
    return captions


def stored_captions(texts: Collection, item_ids: Sequence[str]) -> dict[str, list[Row]]:
    """Return for each item with a caption the rows of its captions, in their order."""
    return captions_in_order(
        item_ids, lambda keys: {row.id: row for row in stored_rows(texts, keys)}
    )


def scan_embeddings(collection: Collection) -> Iterator[tuple[list[tuple[str, str]], Vectors]]:
    """Yield (id, item_id) and the vectors, float32 (n, dim), of all rows, in batches."""
    for batch in collection.scan_rows([Field.ITEM_ID, Field.EMBEDDING], SCAN_ROWS):
        embeddings = [row[Field.EMBEDDING] for row in batch]
        keys = [(row[Field.ID], row[Field.ITEM_ID]) for row in batch]
        yield keys, np.asarray(embeddings, dtype=np.float32)


def _smallest_ids(size: int, of: int) -> str:
    """Return an expression that about `size` of the ids meet; empty where that is all of them."""
    share = (size + SPARE * math.sqrt(size)) / max(1, of)
    bound = f"{int(share * 16**ID_DIGITS):0{ID_DIGITS}x}"
    return f'{Field.ID} < "{bound}"' if share < 1 else ""


def _fields(collection: Collection) -> list[Field]:
    return [*collection.text_fields[1:], Field.EMBEDDING, Field.METADATA]


def _row(fields: dict[str, Any]) -> Row:
    return Row(
        id=fields[Field.ID],
        item_id=fields[Field.ITEM_ID],
        uri=fields[Field.URI],
        content_hash=fields[Field.CONTENT_HASH],
        detail_hash=fields[Field.DETAIL_HASH],
        embedding=np.asarray(fields[Field.EMBEDDING], dtype=np.float32),
        metadata=fields[Field.METADATA],
        caption=fields.get(Field.CAPTION),
    )
