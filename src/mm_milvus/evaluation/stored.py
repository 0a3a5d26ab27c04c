"""What the store holds of a data set, vectors and all, for exact scoring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_milvus.schema import Field, Modality
from mm_milvus.store.collection import SCAN_ROWS, Collection
from mm_milvus.store.dataset import Dataset

LARGEST_READ = 16 << 20
"""Bytes of vectors that are asked for at once; a message has at most 64 MB."""


@dataclass(frozen=True, slots=True)
class StoredList:
    """All rows of a collection, in no order that matters.

    item_ids  of each row
    captions  of each row of the text collection; empty for the images
    labels    of each row the metadata's value of the key that was asked for
    vectors   float32 (n, dim), mapped from a file: reading them takes no lasting memory
    """

    item_ids: list[str]
    captions: list[str]
    labels: list[Any]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class StoredVectors:
    """Both lists of a data set, and the items in the order that breaks ties."""

    images: StoredList
    texts: StoredList
    item_ids: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Sort the items."""
        known = {*self.images.item_ids, *self.texts.item_ids}
        object.__setattr__(self, "item_ids", sorted(known))


@contextmanager
def read_stored(dataset: Dataset, by: str | None = None) -> Iterator[StoredVectors]:
    """Read a data set once, into files that vanish with the block.

    by  the key of the metadata that becomes `labels`
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="mm-milvus-")))
        dim = dataset.manifest.dim
        yield StoredVectors(
            _read(dataset.images, folder, dim, by),
            _read(dataset.texts, folder, dim, None),
        )


def _read(collection: Collection, folder: Path, dim: int, by: str | None) -> StoredList:
    texts = collection.modality is Modality.TEXT
    fields = [Field.ITEM_ID, Field.EMBEDDING]
    if texts:
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
            if texts:
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
