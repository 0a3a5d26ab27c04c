"""Part files: bounded, numbered on, complete or not at all."""

from __future__ import annotations

import resource

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_milvus.embeddings.header import Header
from mm_milvus.embeddings.parts import open_embeddings
from mm_milvus.embeddings.writer import PART_ROWS, PartWriter, find_parts
from mm_milvus.encoders.base import EncoderIdentity
from mm_milvus.errors import OutputError

HEADER = Header(EncoderIdentity("größer/model@main", "0123456789abcdef", 2), "photos")


def batch(start: int, rows: int) -> pa.RecordBatch:
    names = [str(number) for number in range(start, start + rows)]
    vector = np.array([1, 0], np.float32)
    columns = [names, names, names, [vector] * rows, [[]] * rows, [[]] * rows, ["{}"] * rows]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, HEADER.schema(), strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=HEADER.schema())


def test_parts_are_bounded_and_numbered_on(tmp_path):
    for first in (0, 1):
        find_parts(tmp_path)
        writer = PartWriter(tmp_path, HEADER.schema())
        writer.write(batch(0, PART_ROWS))
        assert sum(1 for _ in tmp_path.iterdir()) == 2 * first + 1
        writer.write(batch(PART_ROWS, 3))
        writer.close()
        writer.close()
        assert writer.written == 2
    written = find_parts(tmp_path)
    assert [part.place.name for part in written.parts] == [
        f"part-0000{n}.parquet" for n in range(4)
    ]
    assert [part.rows for part in written.parts] == [PART_ROWS, 3] * 2
    assert written.header == HEADER
    assert written.size == 2 * (PART_ROWS + 3)
    assert sum(records.num_rows for records in written.batches()) == PART_ROWS + 3
    assert pq.read_schema(tmp_path / "part-00000.parquet") == HEADER.schema()


def test_a_hundred_thousand_parts_are_in_order(tmp_path):
    for number in (100_000, 99_999):
        pq.write_table(
            pa.Table.from_batches([batch(number, 1)]), tmp_path / f"part-{number}.parquet"
        )
    for embeddings in (find_parts(tmp_path), open_embeddings(tmp_path)):
        assert [part.place.name for part in embeddings.parts] == [
            "part-99999.parquet",
            "part-100000.parquet",
        ]


def test_a_full_disk_leaves_no_partial_file(tmp_path):
    writer = PartWriter(tmp_path, HEADER.schema())
    writer.write(batch(0, 2000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OutputError, match=r"part-00000\.parquet cannot be written"):
            writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
