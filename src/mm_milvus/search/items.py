"""Which items the methods of a client are about: by their ids, or by conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from mm_milvus.errors import OptionError, QueryError
from mm_milvus.items.columns import metadata_keys
from mm_milvus.items.delete import delete_items
from mm_milvus.items.pages import item_ids
from mm_milvus.items.table import Items
from mm_milvus.search.where import Conditions, Where
from mm_milvus.store.dataset import Dataset, create_dataset, find_indexes

Ids = str | Iterable[str] | None
"""The ids of items, or one of them; None where conditions select the items."""


def as_ids(ids: str | Iterable[str]) -> list[str]:
    """Return ids as a list. Raises QueryError for an id that is no text, or is empty."""
    listed = [ids] if isinstance(ids, str) else [*ids]
    for item_id in listed:
        if not (isinstance(item_id, str) and item_id):
            raise QueryError(f"the id of an item is a text, and not {item_id!r}")
    return listed


def select_items(
    index: Dataset,
    where: Where,
    ids: Ids,
    conditions: Conditions,
    *,
    columns: Sequence[str],
    after: str = "",
    limit: int | None = None,
) -> Items:
    """Return the selected items, to be read.

    Args:
        index: The dataset as one encoder indexed it.
        where: Its filters.
        ids: The items, in this order; None: all that meet the conditions.
        conditions: Which items, where no ids are given.
        columns: Fields of items, and keys of their metadata.
        after: The id of a stored item: begin with the next one.
        limit: Maximum number of items (default: all).

    Raises:
        OptionError: For columns or a limit that cannot be used.
        QueryError: For ids together with conditions or `after`, a condition that cannot be used,
            or a key that no item has.
    """
    if limit is not None and limit < 0:
        raise OptionError(f"`limit` is {limit}, and must not be negative")
    where.check_keys(metadata_keys(columns))
    return Items(index, _selected(index, where, ids, conditions, after, limit), columns)


def delete_selected(index: Dataset, ids: Ids, conditions: Conditions) -> int:
    """Delete items of a dataset, as all of its encoders indexed it; return how many.

    Raises:
        QueryError: For neither ids nor conditions, both together, or a condition that cannot be
            used.
    """
    if ids is None and not any(conditions.values()):
        raise QueryError(
            "to delete items, name them (`ids`) or give a condition (`where`); to delete all, drop "
            "the dataset"
        )
    store = index.images.store
    indexes = [
        create_dataset(store, manifest, expected_rows=0)
        for manifest in find_indexes(store, index.name)
    ]
    if ids is not None:
        _refuse_conditions(conditions)
        return delete_items(indexes, ids=dict.fromkeys(as_ids(ids)))
    return delete_items(indexes, expression=Where(*indexes).meets(conditions))


def _selected(
    index: Dataset,
    where: Where,
    ids: Ids,
    conditions: Conditions,
    after: str,
    limit: int | None,
) -> Callable[[], Iterator[str]]:
    if ids is None:
        expression = where.meets(conditions)
        return lambda: item_ids(index, expression, after=after, limit=limit)
    _refuse_conditions(conditions)
    if after:
        raise QueryError("ids have an order of their own: leave out `after`")
    listed = as_ids(ids)[:limit]
    return lambda: iter(listed)


def _refuse_conditions(conditions: Conditions) -> None:
    if any(conditions.values()):
        raise QueryError("items are selected by their ids or by conditions: give one or the other")
