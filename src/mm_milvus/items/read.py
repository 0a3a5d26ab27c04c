"""Read whole items by their ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from mm_milvus.items.item import ItemRows, StoredItem
from mm_milvus.keys import caption_key, image_key
from mm_milvus.schema import Field
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.read import BATCH_ROWS, CAPTIONS_PER_CALL, captions_in_order

Stored = Mapping[str, Any]
"""Fields of a row, by their names."""


def read_items(
    dataset: Dataset, item_ids: Sequence[str], *, vectors: bool = False
) -> dict[str, ItemRows]:
    """Return the items that are stored, by their ids; all of them are held in memory.

    Rows that another client has just written or deleted may not be seen yet: count the rows of both
    collections before the first call.

    Args:
        dataset: The dataset as one encoder indexed it.
        item_ids: The ids.
        vectors: Whether to read the vectors.

    Raises:
        StoreError: When the engine refuses a call.
    """
    of_content = [Field.EMBEDDING] if vectors else []
    details = [Field.URI, Field.METADATA]
    images = dataset.images.by_id(
        [*map(image_key, item_ids)], [*details, Field.CONTENT_HASH, *of_content]
    )
    captions = captions_in_order(
        item_ids,
        lambda keys: dataset.texts.by_id(keys, [Field.CAPTION, *of_content]),
        CAPTIONS_PER_CALL,
    )
    first = {
        item_id: caption_key(item_id, 0) for item_id in captions if image_key(item_id) not in images
    }
    without_image = dataset.texts.by_id([*first.values()], details)
    items = {}
    for item_id in item_ids:
        image = images.get(image_key(item_id))
        shown = image or without_image.get(first.get(item_id, ""))
        if shown is not None:
            items[item_id] = _item(item_id, shown, image, captions.get(item_id, []))
    return items


def get_items(dataset: Dataset, ids: Sequence[str]) -> list[StoredItem | None]:
    """Return the item of each id, in their order; None where none is stored.

    Every acknowledged write is seen.
    """
    dataset.counts()  # after a count, reads see every acknowledged write
    stored: dict[str, ItemRows] = {}
    for chunk in chunks(iter(dict.fromkeys(ids)), BATCH_ROWS):
        stored |= read_items(dataset, chunk)
    return [stored[item_id].item if item_id in stored else None for item_id in ids]


def chunks(values: Iterator[str], size: int) -> Iterator[list[str]]:
    """Yield the values in lists of `size`; the last may be shorter."""
    while chunk := [*islice(values, size)]:
        yield chunk


def _item(
    item_id: str, shown: Stored, image: Stored | None, captions: Sequence[Stored]
) -> ItemRows:
    texts = tuple(row[Field.CAPTION] for row in captions)
    item = StoredItem(item_id, shown[Field.URI], texts, dict(shown[Field.METADATA]))
    if image is None:
        return ItemRows(item, caption_embeddings=_vectors(captions))
    [vector] = _vectors([image]) or [None]
    return ItemRows(item, image[Field.CONTENT_HASH], vector, _vectors(captions))


def _vectors(rows: Sequence[Stored]) -> list[Any]:
    return [
        np.asarray(row[Field.EMBEDDING], dtype=np.float32) for row in rows if Field.EMBEDDING in row
    ]
