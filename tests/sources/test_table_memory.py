"""Large rows of Parquet and Arrow are read by their bytes, and their order and numbers are kept."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from mm_milvus.files import locate
from mm_milvus.sources.records import BUFFER_BYTES, READ_BYTES
from mm_milvus.sources.table import open_table

LARGE = 2**20
"""Bytes of a large image of the tests."""


def write_stream(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "t.parquet": lambda table, path: pq.write_table(table, path),
    "plain.parquet": lambda table, path: pq.write_table(table, path, use_dictionary=False),
    "groups.parquet": lambda table, path: pq.write_table(table, path, row_group_size=7),
    "t.feather": lambda table, path: pyarrow.feather.write_feather(table, path),
    "t.arrow": write_stream,
}

IMAGES: dict[str, list[bytes | None]] = {
    "all large": [bytes([n]) * LARGE for n in range(80)],
    "large at the end": [*[b"x"] * 5000, *(bytes([n]) * LARGE for n in range(40))],
    "one large": [*[b"x"] * 100, b"y" * 8 * LARGE, None, *[b"z"] * 100],
    "small": [b"%d" % n for n in range(1000)],
}

COLUMNS: dict[str, tuple[pa.DataType, Callable[[bytes | None], Any]]] = {
    "bytes": (pa.binary(), lambda image: image),
    "large bytes": (pa.large_binary(), lambda image: image),
    "struct": (
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        lambda image: {"bytes": image, "path": "a.png"},
    ),
}


@pytest.mark.parametrize("images", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize(("column", "to_cell"), COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize(("file", "write"), WRITERS.items(), ids=WRITERS)
def test_the_rows_in_memory_are_bounded_by_bytes(
    tmp_path: Path,
    images: list[bytes | None],
    column: pa.DataType,
    to_cell: Callable[[bytes | None], Any],
    file: str,
    write: Callable[[pa.Table, Path], None],
) -> None:
    cells = [to_cell(image) for image in images]
    table = pa.table({"n": range(len(cells)), "a.image": pa.array(cells, column)})
    write(table, tmp_path / file)
    rows = open_table(locate(str(tmp_path / file))).read(frozenset({"a.image"}))
    largest = max(len(image or b"") for image in images)
    tracemalloc.start()
    try:
        for count, row in enumerate(rows, 1):
            # pytest's own assertion would keep the values.
            if row.values != {"n": count - 1, "a.image": cells[count - 1]} or row.number != count:
                pytest.fail(f"row {count} is not the one that was written: {row.fault}")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == len(cells)
    # The previous row is freed only when the next one was made.
    assert peak < 2 * (largest + READ_BYTES) + BUFFER_BYTES
