"""What is inspected: a sample of the images of a data set, and the captions of these."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from mm_milvus.errors import QueryError
from mm_milvus.inspection.geometry import Groups, Vectors
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.read import sample, stored_captions
from mm_milvus.store.rows import Row

NO_VALUE = "(none)"


@dataclass(frozen=True, slots=True)
class Sample:
    """Images and the distinct captions that they have.

    items     the image rows, n of them, in a random order that is always the same
    images    their vectors, float32 (n, dim)
    captions  the distinct captions of these items, m of them
    texts     their vectors, float32 (m, dim)
    pairs     int64 (p, 2): the number of an image, the number of a caption of it
    """

    items: list[Row]
    images: Vectors
    captions: list[str]
    texts: Vectors
    pairs: Groups

    def captions_of(self, image: int) -> list[int]:
        """The numbers of an image's captions, as they were stored."""
        return [int(caption) for row, caption in self.pairs if row == image]

    def values_of(self, key: str) -> list[str]:
        """The value of a metadata key of each image; raises `QueryError` when none has the key."""
        if not any(key in item.metadata for item in self.items):
            keys = sorted({key for item in self.items for key in item.metadata})
            there = f"there are: {', '.join(keys)}" if keys else "there is no metadata"
            raise QueryError(f"no item has the metadata key {key!r}; {there}")
        return [_shown(item.metadata.get(key)) for item in self.items]


def read_sample(dataset: Dataset, size: int) -> Sample:
    """Read at most `size` images of a data set, and all of their captions, from the store.

    Raises `QueryError` when the data set has fewer than two images.
    """
    items = sample(dataset.images, size)
    if len(items) < 2:
        raise QueryError(f"data set {dataset.name!r} has {len(items)} images: nothing to compare")
    stored = stored_captions(dataset.texts, [item.item_id for item in items])
    numbers: dict[str, int] = {}
    texts: list[Vectors] = []
    pairs: set[tuple[int, int]] = set()
    for row, item in enumerate(items):
        for text in stored.get(item.item_id, []):
            caption = numbers.setdefault(text.caption or "", len(numbers))
            if caption == len(texts):
                texts.append(text.embedding)
            pairs.add((row, caption))
    return Sample(
        items=items,
        images=np.stack([item.embedding for item in items]),
        captions=list(numbers),
        texts=np.stack(texts) if texts else np.empty((0, dataset.manifest.dim), np.float32),
        pairs=np.asarray(sorted(pairs), dtype=np.int64).reshape(-1, 2),
    )


def _shown(value: object) -> str:
    if value is None:
        return NO_VALUE
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
