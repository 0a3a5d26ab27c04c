"""A sample of the images of a stored dataset, with their captions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mm_milvus.arrays import Vector, Vectors
from mm_milvus.errors import QueryError
from mm_milvus.inspection.geometry import Pairs
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.read import sample as sample_rows
from mm_milvus.store.read import stored_captions
from mm_milvus.store.rows import Row
from mm_milvus.text import as_text

NO_VALUE = "(none)"
"""The group of images that lack the metadata key which groups the others."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Images, and the distinct captions that they have.

    Attributes:
        items: The n image rows, in a random order that is the same every time.
        image_vectors: float32 (n, dim), unit rows.
        captions: The m distinct captions of these items.
        caption_vectors: float32 (m, dim), unit rows.
        pairs: int64 (p, 2): the number of an image, and the number of one of its captions.
    """

    items: list[Row]
    image_vectors: Vectors
    captions: list[str]
    caption_vectors: Vectors
    pairs: Pairs

    def captions_of(self, image: int) -> list[int]:
        """Return the numbers of an image's captions, in ascending order."""
        captions: list[int] = self.pairs[self.pairs[:, 0] == image, 1].tolist()
        return captions

    def metadata_values(self, key: str) -> list[str]:
        """Return each image's value of a metadata key as text; `NO_VALUE` where it has none.

        Raises:
            QueryError: When no image has the key.
        """
        if not any(key in item.metadata for item in self.items):
            keys = sorted({key for item in self.items for key in item.metadata})
            remedy = f"there are: {', '.join(keys)}" if keys else "there is no metadata"
            raise QueryError(f"no item has the metadata key {key!r}; {remedy}")
        return [_as_text(item.metadata.get(key)) for item in self.items]


def read_sample(dataset: Dataset, size: int) -> Sample:
    """Read at most `size` images of a dataset, and all of their captions, from the store.

    Raises:
        QueryError: When the dataset has fewer than two images.
    """
    items = sample_rows(dataset.images, size)
    if len(items) < 2:
        raise QueryError(f"dataset {dataset.name!r} has {len(items)} images: nothing to compare")
    captions = stored_captions(dataset.texts, [item.item_id for item in items])
    numbers: dict[str, int] = {}
    caption_vectors: list[Vector] = []
    pairs: set[tuple[int, int]] = set()
    for image, item in enumerate(items):
        for row in captions.get(item.item_id, []):
            caption = numbers.setdefault(row.caption or "", len(numbers))
            if caption == len(caption_vectors):
                caption_vectors.append(row.embedding)
            pairs.add((image, caption))
    no_vectors = np.empty((0, dataset.manifest.dim), np.float32)
    return Sample(
        items=items,
        image_vectors=np.stack([item.embedding for item in items]),
        captions=list(numbers),
        caption_vectors=np.stack(caption_vectors) if caption_vectors else no_vectors,
        pairs=np.asarray(sorted(pairs), dtype=np.int64).reshape(-1, 2),
    )


def _as_text(value: object) -> str:
    return NO_VALUE if value is None else as_text(value)
