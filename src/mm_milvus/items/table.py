"""Items as Arrow record batches, and as a table of pandas or polars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import pyarrow as pa

from mm_milvus.errors import MissingExtraError
from mm_milvus.items.columns import VECTOR_COLUMNS, items_schema, metadata_keys, to_record_batch
from mm_milvus.items.item import ItemRows
from mm_milvus.items.read import chunks, read_items
from mm_milvus.store.dataset import Dataset

MAX_ROWS = 1000
FIRST_ROWS = 64
BATCH_BYTES = 8 * 2**20
"""Bytes of a record batch to aim at."""


class Items:
    """Items of a dataset, read from the store during the iteration.

    Iterating yields Arrow record batches of about 8 MB at most. It can be done several times, and
    reads the store each time.

        for batch in client.items(where=["price<50"]):
            print(batch.num_rows)

    Attributes:
        schema: The schema of the record batches.
    """

    def __init__(
        self, dataset: Dataset, ids: Callable[[], Iterator[str]], columns: Sequence[str]
    ) -> None:
        """Take the ids of the items; nothing is read yet.

        Args:
            dataset: The dataset as one encoder indexed it.
            ids: Returns the ids, in the order of the rows; those that are not stored are left out.
            columns: Fields of items, and keys of their metadata.

        Raises:
            OptionError: For no column at all, and for one that is named twice.
        """
        metadata_keys(columns)
        self.schema: pa.Schema = items_schema(columns, dataset.manifest)
        self._dataset = dataset
        self._ids = ids

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the items in record batches."""
        for rows in self.rows():
            yield to_record_batch(rows, self.schema, self._dataset.manifest)

    def rows(self) -> Iterator[list[ItemRows]]:
        """Yield the items in lists, with their vectors where the columns have these."""
        vectors = not {*VECTOR_COLUMNS}.isdisjoint(self.schema.names)
        size = FIRST_ROWS
        self._dataset.counts()  # after a count, reads see every acknowledged write
        ids = self._ids()
        while chunk := next(chunks(ids, size), None):
            stored = read_items(self._dataset, chunk, vectors=vectors)
            if stored:
                yield [stored[item_id] for item_id in chunk if item_id in stored]
            # One more batch like this one has about `BATCH_BYTES`.
            wanted = len(chunk) * BATCH_BYTES // max(1, sum(map(_size, stored.values())))
            size = max(1, min(wanted, 2 * size, MAX_ROWS))

    def to_table(self) -> pa.Table:
        """Return all items as an Arrow table."""
        return pa.Table.from_batches(self, self.schema)

    def to_pandas(self) -> Any:
        """Return all items as a `pandas.DataFrame`.

        Raises:
            MissingExtraError: When pandas is not installed.
        """
        _require("pandas")
        return self.to_table().to_pandas()

    def to_polars(self) -> Any:
        """Return all items as a `polars.DataFrame`.

        Raises:
            MissingExtraError: When polars is not installed.
        """
        return _require("polars").from_arrow(self.to_table())


def _require(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"a table of {module} needs {module}, which is not installed: pip install {module}"
        ) from error


def _size(row: ItemRows) -> int:
    """Return the approximate number of bytes of an item."""
    vectors = [*row.caption_embeddings]
    if row.image_embedding is not None:
        vectors.append(row.image_embedding)
    texts = sum(map(len, row.item.captions)) + len(str(row.item.metadata))
    return 256 + texts + sum(vector.nbytes for vector in vectors)
