"""The verb `ingest`: bring a dataset, or embeddings that were made elsewhere, into the store."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mm_milvus.choices import DEFAULT_MODEL, DEFAULT_STORE
from mm_milvus.embeddings.accept import accept_embeddings
from mm_milvus.embeddings.parts import Embeddings
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import as_encoder
from mm_milvus.errors import StoreError
from mm_milvus.ingestion.compare import compare_with_store
from mm_milvus.ingestion.options import IngestOptions
from mm_milvus.ingestion.prune import prune_store
from mm_milvus.ingestion.target import Target, open_target
from mm_milvus.pipeline.accept import accept_items
from mm_milvus.pipeline.batch import Batch, Item
from mm_milvus.pipeline.plan import SeenKeys, plan
from mm_milvus.pipeline.report import Report
from mm_milvus.pipeline.run import Stage, run
from mm_milvus.pipeline.stages import count_new, encoding_stages
from mm_milvus.rejects import RejectsFile
from mm_milvus.schema import Modality
from mm_milvus.sources.base import Source
from mm_milvus.sources.decoding import decoding_of
from mm_milvus.sources.open import as_source
from mm_milvus.sources.options import SourceOptions
from mm_milvus.store.connection import StoreLike, is_missing_file, opened, store_uri
from mm_milvus.store.dataset import Dataset, publish
from mm_milvus.store.deprecated import accepts_old_keywords
from mm_milvus.store.rows import Row


@dataclass(slots=True, kw_only=True)
class IngestReport(Report):
    """Counts of an ingest.

    Attributes:
        uri: The store, without user and password.
    """

    uri: str

    def to_dict(self) -> dict[str, Any]:
        """Return the report, ready for JSON."""
        return {**Report.to_dict(self), "uri": self.uri}


@accepts_old_keywords
def ingest(
    source: str | os.PathLike[str] | Source | Embeddings,
    *,
    dataset: str | None = None,
    store: StoreLike = DEFAULT_STORE,
    model: str | Encoder = DEFAULT_MODEL,
    source_options: SourceOptions | None = None,
    options: IngestOptions | None = None,
    rejects: str | os.PathLike[str] | None = None,
    interrupt: threading.Event | None = None,
) -> IngestReport:
    """Bring a dataset into the store; run again, it encodes only what changed.

    Items that cannot be ingested are counted, and never stop the run.

    Args:
        source: A folder, a table, tar shards, any fsspec URI of those; or a `Source`; or
            `Embeddings`, which are stored without an encoder: `ingest(open_embeddings("out"))`.
        dataset: The name in the store (default: the name of the folder or file).
        store: A Milvus Lite file (`*.db`), the URI of a server, or an open `Store`.
        model: What `load_encoder` takes, or an `Encoder`; embeddings have their own.
        source_options: How to read the source.
        options: How to encode and store.
        rejects: Where to write rejected items with their reasons, as JSON lines (default: nowhere).
            Where that fails, the run continues, and `rejects_failure` of the report says why.
        interrupt: An event that ends the run in order once it is set: what is encoded is stored,
            and the same call continues from there.

    Returns:
        The counts of the run.

    Raises:
        SourceError: When the source cannot be read as it was named.
        EncoderError: When the model cannot be loaded.
        StoreError: When the store cannot be reached, or holds the dataset in another form.
        UsageError: When an option or the dataset's name cannot be used.
    """
    started = time.perf_counter()
    options = options or IngestOptions()
    source = as_source(source, source_options)
    if isinstance(source, Embeddings):
        encoder, identity = None, source.header.encoder
        options = replace(options, document=source.header.document)
    else:
        encoder = as_encoder(model)
        identity = encoder.spec
    name = dataset or source.name
    report = IngestReport(dataset=name, model=identity.id, uri=store_uri(store))
    with ExitStack() as stack:
        target = None
        if not (options.dry_run and is_missing_file(store)):
            connected = stack.enter_context(opened(store))
            target = open_target(connected, name, identity, source.size or 0, options)
        rejected = stack.enter_context(closing(RejectsFile(rejects)))
        _fill(source, encoder, target, options, report, rejected, interrupt or threading.Event())
    report.seconds = time.perf_counter() - started
    return report


def _fill(
    source: Source | Embeddings,
    encoder: Encoder | None,
    target: Target | None,
    options: IngestOptions,
    report: IngestReport,
    rejects: RejectsFile,
    interrupt: threading.Event,
) -> None:
    seen = SeenKeys() if options.prune or options.rebuild else None
    with ThreadPoolExecutor(2, "mm-milvus-write") as pool:
        writer = None if target is None or options.dry_run else RowWriter(target.dataset, pool)
        run(
            source,
            _stages(source, encoder, target, options, seen, interrupt),
            writer.write if writer else _discard,
            report=report,
            rejects=rejects,
            interrupt=interrupt,
            limit=options.limit,
            progress=options.progress,
        )
    if target is None:
        return
    if seen is not None and not report.interrupted:
        report.pruned = prune_store(target.dataset, seen, dry_run=options.dry_run)
    if writer is None:
        return
    # Where an earlier run did not finish, the manifest does not have the counts of the rows.
    unfinished = target.dataset.manifest.rows != target.counts
    if writer.written or report.pruned or unfinished:
        target.dataset.finish()
    if target.live is not None and not report.interrupted:
        _publish(target.live, target.dataset)


def _stages(
    source: Source | Embeddings,
    encoder: Encoder | None,
    target: Target | None,
    options: IngestOptions,
    seen: SeenKeys | None,
    interrupt: threading.Event,
) -> list[Stage]:
    """List what a batch goes through; embeddings have their vectors already."""
    columns = target.dataset.manifest.columns if target else dict(options.promote or {})
    document = options.document or {}
    stored = target.dataset if target and any(target.counts.values()) else None
    compare = partial(compare_with_store, dataset=stored) if stored else None
    planned = partial(plan, compare=compare, seen=seen)
    if isinstance(source, Embeddings):
        dim = source.header.encoder.dim
        return [partial(accept_embeddings, columns=columns, dim=dim), planned, count_new]
    if encoder is None:
        raise TypeError("a source needs an encoder")
    decoding, encoding = encoding_stages(
        encoder,
        decoding=decoding_of(source),
        document=document,
        batch_size=options.batch_size,
        interrupt=interrupt,
    )
    return [
        partial(accept_items, columns=columns, document=document),
        planned,
        decoding,
        *([] if options.dry_run else [encoding]),
        count_new,
    ]


class RowWriter:
    """The sink: writes the rows of batches to both collections in parallel.

    Attributes:
        written: How many rows were written or deleted.
    """

    def __init__(self, dataset: Dataset, pool: ThreadPoolExecutor) -> None:
        """Write to the collections of a dataset, with two threads of the pool."""
        self.written = 0
        self._dataset = dataset
        self._pool = pool

    def write(self, batch: Batch[Item]) -> None:
        """Write a batch's rows, and delete its stale ones."""
        writes = [
            self._pool.submit(
                collection.upsert,
                [row for item in batch.items for row in finished_rows(item, collection.modality)],
                self._dataset.manifest.columns,
            )
            for collection in self._dataset.collections
        ]
        self.written += sum(write.result() for write in writes)
        stale = [key for item in batch.items for key in item.stale]
        self._dataset.texts.delete(stale)
        self.written += len(stale)


def finished_rows(item: Item, modality: Modality) -> Iterator[Row]:
    """Yield the encoded rows of an item for one collection."""
    for row in item.rows_of(modality):
        if row.embedding is not None:
            yield Row(
                id=row.id,
                item_id=item.item_id,
                uri=item.uri,
                content_hash=row.content_hash,
                detail_hash=item.detail_hash,
                embedding=row.embedding,
                metadata=item.metadata,
                caption=row.content if isinstance(row.content, str) else None,
            )


def _discard(batch: Batch[Item]) -> None:
    """Write nothing: a dry run."""


def _publish(live: Dataset, rebuilt: Dataset) -> None:
    if not rebuilt.images.count():
        raise StoreError(
            f"none of the items could be ingested, so dataset {live.name!r} stays unchanged; "
            "see the rejects"
        )
    publish(live, rebuilt)
