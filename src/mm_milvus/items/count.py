"""The number of items that meet an expression."""

from __future__ import annotations

from mm_milvus.items.pages import ids_without_image
from mm_milvus.store.dataset import Dataset


def count_items(dataset: Dataset, expression: str = "") -> int:
    """Return how many items meet an expression, every acknowledged write included.

    Items with an image are counted by the engine; of the others, the ids are read.

    Raises:
        QueryError: When the engine refuses the expression.
        StoreError: When the engine fails.
    """
    dataset.texts.count()  # after a count, reads see every acknowledged write
    return dataset.images.count(expression) + sum(1 for _ in ids_without_image(dataset, expression))
