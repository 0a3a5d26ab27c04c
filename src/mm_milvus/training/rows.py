"""Rows of numbers by key, in Arrow files: what the towers made of images and texts, kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Rows = NDArray[np.generic]


class RowCache:
    """Rows of one shape, by key; a file is written whole or not at all, and is never changed.

    What is read back lies in the files, mapped into memory: a data set may be larger than that.
    """

    def __init__(self, folder: Path) -> None:
        """Open the files that are in the folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._parts: list[Rows] = []
        self._places: dict[str, tuple[int, int]] = {}
        for path in sorted(folder.glob("*.arrow")):
            self._open(path)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    @property
    def width(self) -> int:
        """How many numbers are in a row; 0 where there is none."""
        return self._parts[0].shape[1] if self._parts else 0

    def add(self, keys: Sequence[str], rows: Rows) -> None:
        """Keep rows (n, width), all of one type, under new keys."""
        values = pa.array(np.ascontiguousarray(rows).reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(values, rows.shape[1])
        table = pa.table({"key": pa.array(keys, pa.string()), "row": column})
        path = self._folder / f"{len(self._parts):06d}.arrow"
        part = path.with_suffix(".part")
        with pa.OSFile(str(part), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        part.replace(path)
        self._open(path)

    def take(self, keys: Sequence[str]) -> Rows:
        """The rows of these keys, (n, width), in this order, in memory."""
        places = np.array([self._places[key] for key in keys], np.int64).reshape(-1, 2)
        dtype = self._parts[0].dtype if self._parts else np.float32
        rows = np.empty((len(places), self.width), dtype)
        for number in np.unique(places[:, 0]):
            chosen = places[:, 0] == number
            rows[chosen] = self._parts[number][places[chosen, 1]]
        return rows

    def _open(self, path: Path) -> None:
        with pa.memory_map(str(path)) as file:
            batches = list(_batches(pa.ipc.open_file(file)))
        for batch in batches:
            column = batch.column("row")
            rows = column.flatten().to_numpy(zero_copy_only=True)
            number = len(self._parts)
            self._parts.append(rows.reshape(batch.num_rows, column.type.list_size))
            for row, key in enumerate(batch.column("key").to_pylist()):
                self._places[key] = (number, row)


def _batches(reader: pa.ipc.RecordBatchFileReader) -> Iterator[pa.RecordBatch]:
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)
