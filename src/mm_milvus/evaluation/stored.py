"""All vectors of a dataset, read from the store for exact scoring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mm_milvus.arrays import Vectors
from mm_milvus.schema import Field, Modality
from mm_milvus.store.collection import SCAN_ROWS, Collection
from mm_milvus.store.dataset import Dataset

LARGEST_READ = 16 << 20
"""Bytes of vectors per call; a message has at most 64 MB."""


@dataclass(frozen=True, slots=True)
class StoredList:
    """All n rows of a collection, in no particular order.

    Attributes:
        item_ids: Per row its item_id.
        captions: Per row its caption; empty for the images.
        labels: Per row the metadata's value of the key that was requested; empty without one.
        vectors: float32 (n, dim), mapped from a file: reading them keeps no memory.
    """

    item_ids: list[str]
    captions: list[str]
    labels: list[Any]
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class StoredVectors:
    """Both lists of a dataset.

    Attributes:
        images: The image collection.
        texts: The text collection.
        item_ids: The item_ids of both, sorted: the order that breaks ties.
    """

    images: StoredList
    texts: StoredList
    item_ids: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Sort the item_ids."""
        item_ids = {*self.images.item_ids, *self.texts.item_ids}
        object.__setattr__(self, "item_ids", sorted(item_ids))

    @property
    def lists(self) -> tuple[StoredList, StoredList]:
        """Both lists, in the order of `Dataset.collections`."""
        return self.images, self.texts


@contextmanager
def read_stored(dataset: Dataset, by: str | None = None) -> Iterator[StoredVectors]:
    """Read a dataset once, into temporary files that are deleted at the end of the block.

    Args:
        dataset: The dataset to read.
        by: Metadata key whose values become `labels` of the images.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="mm-milvus-")))
        dim = dataset.manifest.dim
        yield StoredVectors(
            _read(dataset.images, folder, dim, by),
            _read(dataset.texts, folder, dim, None),
        )


def _read(collection: Collection, folder: Path, dim: int, by: str | None) -> StoredList:
    is_text = collection.modality is Modality.TEXT
    fields = [Field.ITEM_ID, Field.EMBEDDING]
    if is_text:
        fields.append(Field.CAPTION)
    if by is not None:
        fields.append(Field.METADATA)
    path = folder / collection.modality.value
    item_ids: list[str] = []
    captions: list[str] = []
    labels: list[Any] = []
    with path.open("wb") as file:
        for rows in collection.scan_rows(fields, min(SCAN_ROWS, LARGEST_READ // (4 * dim))):
            item_ids += [row[Field.ITEM_ID] for row in rows]
            if is_text:
                captions += [row[Field.CAPTION] for row in rows]
            if by is not None:
                labels += [row[Field.METADATA].get(by) for row in rows]
            block = np.asarray([row[Field.EMBEDDING] for row in rows], dtype=np.float32)
            file.write(block.tobytes())
    shape = len(item_ids), dim
    if not item_ids:
        return StoredList([], [], [], np.empty(shape, dtype=np.float32))
    vectors = np.memmap(path, dtype=np.float32, mode="r", shape=shape)
    return StoredList(item_ids, captions, labels, vectors)
