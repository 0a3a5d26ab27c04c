"""The ids of the items that meet an expression, in the order of their keys."""

from __future__ import annotations

from collections.abc import Iterator

from mm_milvus.errors import QueryError
from mm_milvus.keys import caption_key, image_key
from mm_milvus.schema import Field, Modality
from mm_milvus.store.collection import Collection
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.read import key_pages

WITHOUT_IMAGE = f'{Field.URI} == ""'


def item_ids(
    dataset: Dataset, expression: str = "", *, after: str = "", limit: int | None = None
) -> Iterator[str]:
    """Yield the ids of items: those with an image first, then those without one.

    Both are in the order of their primary keys, which are hashes of the ids. An item that is
    written or deleted meanwhile may be missing; every other one is yielded exactly once. Writes of
    other clients are seen after a count of both collections.

    Args:
        dataset: The dataset as one encoder indexed it.
        expression: A Milvus boolean expression that the items must meet (default: all items).
        after: The id of a stored item: begin with the next one (default: with the first).
        limit: Maximum number of items (default: all).

    Raises:
        QueryError: When the engine refuses the expression, or there is no item `after`.
        StoreError: When the engine fails.
    """
    if limit == 0:
        return
    yielded = 0
    for collection, key in _starts(dataset, after):
        for item_id in _of_collection(collection, expression, key, limit):
            yield item_id
            yielded += 1
            if yielded == limit:
                return


def ids_without_image(dataset: Dataset, expression: str = "") -> Iterator[str]:
    """Yield the ids of the items without an image, as `item_ids` does."""
    return _of_collection(dataset.texts, expression, "", None)


def _starts(dataset: Dataset, after: str) -> list[tuple[Collection, str]]:
    """Return the collections to read, each with the key after which to begin."""
    images, texts = dataset.collections
    if not after:
        return [(images, ""), (texts, "")]
    if images.hashes([image_key(after)]):
        return [(images, image_key(after)), (texts, "")]
    if texts.hashes([caption_key(after, 0)]):
        return [(texts, caption_key(after, 0))]
    raise QueryError(
        f"no item {after!r} in dataset {dataset.name!r} to continue after (`after`); it was "
        "deleted, or is not the id of an item"
    )


def _of_collection(
    collection: Collection, expression: str, key: str, limit: int | None
) -> Iterator[str]:
    is_texts = collection.modality is Modality.TEXT
    if is_texts:
        expression = f"({expression}) and {WITHOUT_IMAGE}" if expression else WITHOUT_IMAGE
    for page in key_pages(collection, expression, after=key, limit=limit):
        for row in page:
            item_id = row[Field.ITEM_ID]
            if not is_texts or row[Field.ID] == caption_key(item_id, 0):
                yield item_id
