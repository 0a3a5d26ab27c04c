"""Write items to a Parquet, JSON lines or CSV file."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow.parquet as pq

from mm_milvus.atomic import atomic_file
from mm_milvus.choices import ProgressMode
from mm_milvus.embeddings.header import Header
from mm_milvus.encoders.base import EncoderIdentity
from mm_milvus.errors import OptionError
from mm_milvus.files import is_uri
from mm_milvus.items.columns import to_cell, to_json, to_record_batch
from mm_milvus.items.item import ItemRows
from mm_milvus.items.table import Items
from mm_milvus.progress import show_progress
from mm_milvus.store.manifest import Manifest

Write = Callable[[Sequence[ItemRows]], None]


def export_items(
    items: Items,
    manifest: Manifest,
    path: str | os.PathLike[str],
    *,
    progress: ProgressMode | bool = "none",
) -> int:
    """Write items to a file, which replaces an existing one when it is complete.

    A Parquet file with `items.columns.ENCODED_COLUMNS` names its encoder, and is what `ingest`
    takes as embeddings.

    Args:
        items: The items.
        manifest: That of their dataset.
        path: A local path that ends in `.parquet`, `.jsonl` or `.csv`.
        progress: How to show progress on stderr.

    Returns:
        How many items were written.

    Raises:
        OptionError: For a path of another kind.
        OutputError: When the file cannot be written.
        StoreError: When the store cannot be read.
    """
    target = Path(path)
    if is_uri(os.fspath(path)) or target.suffix not in _WRITERS:
        suffixes = ", ".join(_WRITERS)
        raise OptionError(f"cannot export to {path}: name a local file that ends in {suffixes}")
    count = 0
    with (
        atomic_file(target, sync=True) as file,
        _WRITERS[target.suffix](file, items, manifest) as write,
        show_progress(progress, unit="items") as shown,
    ):
        for rows in items.rows():
            write(rows)
            count += len(rows)
            shown.update(len(rows))
    return count


@contextmanager
def _parquet(file: IO[bytes], items: Items, manifest: Manifest) -> Iterator[Write]:
    identity = EncoderIdentity(manifest.encoder, manifest.encoder_fingerprint, manifest.dim)
    header = Header(identity, manifest.dataset, manifest.document or None).schema()
    schema = items.schema
    if schema.names == header.names:
        schema = header
    with pq.ParquetWriter(
        file, schema, compression="zstd", use_dictionary=False, write_page_checksum=True
    ) as writer:
        yield lambda rows: writer.write_batch(to_record_batch(rows, schema, manifest))


@contextmanager
def _jsonl(file: IO[bytes], items: Items, _manifest: Manifest) -> Iterator[Write]:
    def write(rows: Sequence[ItemRows]) -> None:
        for row in rows:
            line = json.dumps(to_json(row, items.schema.names), ensure_ascii=False)
            file.write(f"{line}\n".encode())

    yield write


@contextmanager
def _csv(file: IO[bytes], items: Items, _manifest: Manifest) -> Iterator[Write]:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(items.schema.names)

    def write(rows: Sequence[ItemRows]) -> None:
        for row in rows:
            writer.writerow(map(to_cell, to_json(row, items.schema.names).values()))

    yield write
    text.flush()
    text.detach()


_WRITERS = {".parquet": _parquet, ".jsonl": _jsonl, ".csv": _csv}
