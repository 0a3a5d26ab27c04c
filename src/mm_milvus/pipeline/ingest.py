"""Bring a data set, or embeddings that were made elsewhere, into the store."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial

from mm_milvus.embeddings import Embeddings
from mm_milvus.encoders import Encoder, load_encoder
from mm_milvus.errors import StoreError
from mm_milvus.pipeline.accept import accept_embeddings, accept_items
from mm_milvus.pipeline.flow import Flow
from mm_milvus.pipeline.interrupt import halt_on_signal
from mm_milvus.pipeline.options import IngestOptions
from mm_milvus.pipeline.plan import compare_with_store, plan
from mm_milvus.pipeline.prune import Seen, prune_store
from mm_milvus.pipeline.report import IngestReport
from mm_milvus.pipeline.run import Stage, run
from mm_milvus.pipeline.stages import count, decode, encode, read
from mm_milvus.pipeline.target import Target, open_target
from mm_milvus.rejects import RejectsFile, rejects_path
from mm_milvus.sources import Source, SourceOptions, as_source
from mm_milvus.store import Connection, Dataset, is_missing_file, public_uri, publish

DEFAULT_URI = "./mm_milvus.db"
DEFAULT_MODEL = "compact"


def ingest(
    source: str | os.PathLike[str] | Source | Embeddings,
    *,
    dataset: str | None = None,
    uri: str = DEFAULT_URI,
    token: str | None = None,
    db_name: str | None = None,
    model: str | Encoder = DEFAULT_MODEL,
    source_options: SourceOptions | None = None,
    options: IngestOptions | None = None,
) -> IngestReport:
    """Bring a data set into the store; run again, it encodes only what changed.

    source   a folder, a table, tar shards, any fsspec URI of those; or a `Source`; or
             `Embeddings`, which are stored without an encoder: `ingest(open_embeddings("out"))`
    dataset  its name in the store; None: the name of the folder or file
    model    what `load_encoder` takes, or an `Encoder`; embeddings tell their own

    Items that cannot be ingested are counted, and written with the reason to
    `<dataset>.rejects.jsonl` in the current folder; they never stop the run. Ctrl-C stops it in
    order: what is encoded is stored, and the same call goes on from there.

    Raises `SourceError`, `EncoderError`, `StoreError` or `QueryError` when it cannot run at all.
    """
    started = time.perf_counter()
    options = options or IngestOptions()
    source = as_source(source, source_options)
    if isinstance(source, Embeddings):
        encoder, identity = None, source.header.encoder
        options = replace(options, document=source.header.document)
    else:
        encoder = load_encoder(model) if isinstance(model, str) else model
        identity = encoder.spec
    name = dataset or source.name
    report = IngestReport(dataset=name, model=identity.id, uri=public_uri(uri))
    with ExitStack() as stack:
        target = None
        if not (options.dry_run and is_missing_file(uri)):
            connection = stack.enter_context(Connection(uri, token=token, db_name=db_name))
            target = open_target(connection, name, identity, source.size or 0, options)
        rejects = stack.enter_context(closing(RejectsFile(rejects_path(name))))
        _fill(source, encoder, target, options, report, rejects)
    report.seconds = time.perf_counter() - started
    return report


def _fill(
    source: Source | Embeddings,
    encoder: Encoder | None,
    target: Target | None,
    options: IngestOptions,
    report: IngestReport,
    rejects: RejectsFile,
) -> None:
    seen = Seen() if options.prune or options.rebuild else None
    written = 0
    with halt_on_signal() as halt, ThreadPoolExecutor(2, "mm-milvus-write") as writers:

        def write(flow: Flow) -> None:
            nonlocal written
            if target is not None and not options.dry_run:
                written += _write(flow, target.dataset, writers)

        run(
            _flows(source, target, options, halt),
            _stages(encoder, target, options, seen, halt),
            write,
            report=report,
            rejects=rejects,
            total=min(filter(None, (source.size, options.limit)), default=None),
            progress=options.progress,
        )
        report.interrupted = halt.is_set()
    if target is None:
        return
    if seen is not None and not report.interrupted:
        report.pruned = prune_store(target.dataset, seen, dry_run=options.dry_run)
    # An unfinished earlier run shows in counts that the manifest does not have.
    changed = written or report.pruned or target.dataset.manifest.rows != target.counts
    if changed and not options.dry_run:
        target.dataset.finish()
    if target.live is not None and not report.interrupted:
        _publish(target.live, target.dataset)


def _publish(live: Dataset, rebuilt: Dataset) -> None:
    if not rebuilt.images.count():
        raise StoreError(
            f"none of the items could be ingested, so data set {live.name!r} stays as it was; "
            "see the rejects"
        )
    publish(live, rebuilt)


def _flows(
    source: Source | Embeddings,
    target: Target | None,
    options: IngestOptions,
    halt: threading.Event,
) -> Iterator[Flow]:
    columns = target.dataset.manifest.columns if target else dict(options.promote or {})
    if isinstance(source, Embeddings):
        accept = partial(accept_embeddings, columns=columns, dim=source.header.encoder.dim)
    else:
        accept = partial(accept_items, columns=columns, document=options.document or {})
    return read(source.batches(), accept, options.limit, halt)


def _stages(
    encoder: Encoder | None,
    target: Target | None,
    options: IngestOptions,
    seen: Seen | None,
    halt: threading.Event,
) -> list[Stage]:
    """What a flow goes through; without an encoder it has its vectors already."""
    stored = target.dataset if target and any(target.counts.values()) else None
    compare = partial(compare_with_store, dataset=stored) if stored else None
    stages: list[Stage] = [partial(plan, compare=compare, seen=seen)]
    if encoder is not None:
        size = options.batch_size or encoder.batch_size
        stages.append(partial(decode, preprocessing=encoder.spec.preprocessing, batch_size=size))
        if not options.dry_run:
            document = options.document or {}
            stages.append(
                partial(encode, encoder=encoder, document=document, batch_size=size, halt=halt)
            )
    return [*stages, count]


def _write(flow: Flow, dataset: Dataset, writers: ThreadPoolExecutor) -> int:
    """Write a flow's rows, and delete its stale ones; returns how many rows that were."""
    writes = [
        writers.submit(
            collection.upsert,
            [row for item in flow.items for row in item.rows(collection.modality)],
            dataset.manifest.columns,
        )
        for collection in dataset.collections
    ]
    written = sum(write.result() for write in writes)
    stale = [key for item in flow.items for key in item.stale]
    dataset.texts.delete(stale)
    return written + len(stale)
