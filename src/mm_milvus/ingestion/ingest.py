"""The verb `ingest`: bring a dataset, or embeddings that were made elsewhere, into the store."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from mm_milvus.choices import DEFAULT_MODEL, DEFAULT_STORE
from mm_milvus.embeddings.accept import accept_embeddings
from mm_milvus.embeddings.parts import Embeddings
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import as_encoder
from mm_milvus.errors import StoreError
from mm_milvus.ingestion.compare import compare_with_store
from mm_milvus.ingestion.head import SourceHead
from mm_milvus.ingestion.options import IngestOptions
from mm_milvus.ingestion.prune import prune_store
from mm_milvus.ingestion.remembered import open_as_before, to_remember
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
from mm_milvus.sources.opened import decoding_of
from mm_milvus.sources.options import SourceOptions
from mm_milvus.store.columns import UnfitValues
from mm_milvus.store.connection import StoreLike, is_missing_file, opened, store_uri
from mm_milvus.store.dataset import Dataset, publish
from mm_milvus.store.deprecated import accepts_old_keywords
from mm_milvus.store.rows import Row


@dataclass(slots=True, kw_only=True)
class IngestReport(Report):
    """Counts of an ingest.

    Attributes:
        uri: The store, without user and password.
        unfit_values: By metadata key, how many written items have a value that does not fit the
            key's column. It is stored and found all the same, but slower.
        keys_without_column: Metadata keys of written items that have no column, where keys have
            columns by themselves. A rebuild gives them one.
    """

    uri: str
    unfit_values: dict[str, int] = field(default_factory=dict)
    keys_without_column: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the report, ready for JSON; what does not apply is left out."""
        columns = {
            "unfit_values": self.unfit_values,
            "keys_without_column": self.keys_without_column,
        }
        shown = {name: value for name, value in columns.items() if value}
        return {**Report.to_dict(self), "uri": self.uri, **shown}


@accepts_old_keywords
def ingest(
    source: str | os.PathLike[str] | Source | Embeddings,
    *,
    dataset: str | None = None,
    store: StoreLike = DEFAULT_STORE,
    model: str | Encoder = DEFAULT_MODEL,
    source_options: SourceOptions | Mapping[str, Any] | None = None,
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
        source_options: How to read the source: `SourceOptions`, which are used exactly; or single
            ones by name, in place of those of the dataset's last ingest, which apply otherwise.
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
    with ExitStack() as stack:
        connected = None
        # A dry run, or a source that cannot be read, is not to create a file.
        if not is_missing_file(store):
            connected = stack.enter_context(opened(store))
        if isinstance(source, str | os.PathLike):
            source, _ = open_as_before(source, source_options, connected, dataset)
        if isinstance(source, Embeddings):
            encoder, identity = None, source.header.encoder
            options = replace(options, document=source.header.document)
        else:
            encoder = as_encoder(model)
            identity = encoder.spec
        name = dataset or source.name
        interrupt = interrupt or threading.Event()
        head = SourceHead(source, options.limit, interrupt)
        report = IngestReport(dataset=name, model=identity.id, uri=store_uri(store))
        if connected is None and not options.dry_run:
            connected = stack.enter_context(opened(store))
        target = None
        if connected is not None:
            target = open_target(connected, name, identity, source, options, head.columns)
        rejected = stack.enter_context(closing(RejectsFile(rejects)))
        _fill(source, head, encoder, target, options, report, rejected, interrupt)
    report.seconds = time.perf_counter() - started
    return report


def _fill(
    source: Source | Embeddings,
    head: SourceHead,
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
            head,
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
    report.unfit_values = dict(sorted(writer.unfit.counts.items()))
    if target.dataset.manifest.nullable:
        report.keys_without_column = sorted(writer.unfit.keys)
    # Where an earlier run did not finish, the manifest does not have the counts of the rows.
    unfinished = target.dataset.manifest.rows != target.counts
    dataset = target.dataset.with_source_options(to_remember(source))
    if writer.written or report.pruned or unfinished:
        dataset.finish()
    elif dataset.manifest != target.dataset.manifest:
        dataset.with_manifest(dataset.manifest)
    if target.live is not None and not report.interrupted:
        _publish(target.live, target.dataset, report, options)


def _stages(
    source: Source | Embeddings,
    encoder: Encoder | None,
    target: Target | None,
    options: IngestOptions,
    seen: SeenKeys | None,
    interrupt: threading.Event,
) -> list[Stage]:
    """List what a batch goes through; embeddings have their vectors already."""
    document = options.document or {}
    stored = target.dataset if target and any(target.counts.values()) else None
    compare = partial(compare_with_store, dataset=stored) if stored else None
    planned = partial(plan, compare=compare, seen=seen)
    if isinstance(source, Embeddings):
        dim = source.header.encoder.dim
        return [partial(accept_embeddings, dim=dim), planned, count_new]
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
        partial(accept_items, document=document, decoding=decoding_of(source)),
        planned,
        decoding,
        *([] if options.dry_run else [encoding]),
        count_new,
    ]


class RowWriter:
    """The sink: writes the rows of batches to both collections in parallel.

    Attributes:
        written: How many rows were written or deleted.
        unfit: What did not fit the columns.
    """

    def __init__(self, dataset: Dataset, pool: ThreadPoolExecutor) -> None:
        """Write to the collections of a dataset, with two threads of the pool."""
        self.written = 0
        self.unfit = UnfitValues()
        self._dataset = dataset
        self._pool = pool

    def write(self, batch: Batch[Item]) -> None:
        """Write a batch's rows, and delete its stale ones."""
        manifest = self._dataset.manifest
        for item in batch.items:
            self.unfit.add(item.metadata, manifest.columns, nullable=manifest.nullable)
        if any(
            not kinds <= {*manifest.unfit.get(key, ())}
            for key, kinds in self.unfit.families.items()
        ):
            self._dataset = self._dataset.with_unfit(self.unfit.families)
        writes = [
            self._pool.submit(
                collection.upsert,
                [row for item in batch.items for row in finished_rows(item, collection.modality)],
                self._dataset.manifest.columns,
            )
            for collection in self._dataset.collections
        ]
        self.written += sum(write.result() for write in writes)
        for collection in self._dataset.collections:
            stale = [key for item in batch.items for key in item.stale.get(collection.modality, [])]
            collection.delete(stale)
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


def _publish(live: Dataset, rebuilt: Dataset, report: Report, options: IngestOptions) -> None:
    counts, previous = rebuilt.counts(), live.manifest.rows
    modality = Modality.IMAGE if previous.get(Modality.IMAGE) else Modality.TEXT
    smaller = 0 < counts[modality] < previous.get(modality, 0)
    if smaller and report.rejected and not options.allow_rejects:
        raise StoreError(
            f"{report.rejected:,} items or captions were rejected, and dataset {live.name!r} would "
            f"shrink from {previous[modality]:,} to {counts[modality]:,} {modality}s, so it stays "
            "unchanged; see the rejects, or accept that (`allow_rejects`)"
        )
    if not any(counts.values()):
        raise StoreError(
            f"none of the items could be ingested, so dataset {live.name!r} stays unchanged; "
            "see the rejects"
        )
    publish(live, rebuilt)
