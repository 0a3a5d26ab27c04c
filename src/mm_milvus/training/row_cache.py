"""Rows of numbers by key, in Arrow files: features and pixels that are computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mm_milvus.atomic import atomic_file

Rows = NDArray[np.generic]
"""Rows of one dtype, (n, width); pixels are (n, height, width, 3) until they are flattened."""


class RowCache:
    """Rows of one width and dtype by key, in a folder of Arrow files.

    A file appears complete or not at all, and never changes. Files are memory-mapped: the rows may
    be larger than memory.
    """

    def __init__(self, folder: Path) -> None:
        """Open the files of a folder, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._parts: list[Rows] = []
        self._positions: dict[str, tuple[int, int]] = {}
        for path in sorted(folder.glob("*.arrow")):
            self._open(path)

    def __contains__(self, key: str) -> bool:
        """Return whether the key has a row."""
        return key in self._positions

    @property
    def width(self) -> int:
        """Numbers per row; 0 while there are no rows."""
        return self._parts[0].shape[1] if self._parts else 0

    def add(self, keys: Sequence[str], rows: Rows) -> None:
        """Write rows under new keys, as one file.

        Args:
            keys: The n keys.
            rows: (n, width), of the same width and dtype as all other rows.

        Raises:
            OutputError: When the file cannot be written.
        """
        values = pa.array(np.ascontiguousarray(rows).reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(values, rows.shape[1])
        table = pa.table({"key": pa.array(keys, pa.string()), "row": column})
        path = self._folder / f"{len(self._parts):06d}.arrow"
        with atomic_file(path) as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        self._open(path)

    def take(self, keys: Sequence[str]) -> Rows:
        """Copy the rows of keys into memory, (n, width), in the order of the keys."""
        positions = np.array([self._positions[key] for key in keys], np.int64).reshape(-1, 2)
        dtype = self._parts[0].dtype if self._parts else np.float32
        rows = np.empty((len(positions), self.width), dtype)
        for part in np.unique(positions[:, 0]):
            is_chosen = positions[:, 0] == part
            rows[is_chosen] = self._parts[part][positions[is_chosen, 1]]
        return rows

    def _open(self, path: Path) -> None:
        with pa.memory_map(str(path)) as file:
            batches = list(_batches(pa.ipc.open_file(file)))
        for batch in batches:
            column = batch.column("row")
            rows = column.flatten().to_numpy(zero_copy_only=True)
            part = len(self._parts)
            self._parts.append(rows.reshape(batch.num_rows, column.type.list_size))
            for row, key in enumerate(batch.column("key").to_pylist()):
                self._positions[key] = (part, row)


def _batches(reader: pa.ipc.RecordBatchFileReader) -> Iterator[pa.RecordBatch]:
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)
