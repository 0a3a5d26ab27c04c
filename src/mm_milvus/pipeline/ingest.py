"""The loop that shows the whole ingest."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass

from tqdm import tqdm

from mm_milvus.encoders import Encoder, load_encoder
from mm_milvus.errors import StoreError
from mm_milvus.pipeline.flow import Flow
from mm_milvus.pipeline.interrupt import halt_on_signal
from mm_milvus.pipeline.options import IngestOptions
from mm_milvus.pipeline.prefetch import Prefetch
from mm_milvus.pipeline.prune import Seen, prune
from mm_milvus.pipeline.rejects import RejectsFile
from mm_milvus.pipeline.report import IngestReport
from mm_milvus.pipeline.stages import decode, encode, estimate, plan, read
from mm_milvus.sources import Source, SourceOptions, open_source
from mm_milvus.store import (
    Connection,
    Dataset,
    Manifest,
    create_dataset,
    find_dataset,
    is_missing_file,
    public_uri,
)

DEFAULT_URI = "./mm_milvus.db"
DEFAULT_MODEL = "compact"
DEFAULT_INDEX = "IVF_FLAT"


def ingest(
    source: str | os.PathLike[str] | Source,
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

    source   a folder, a table, tar shards, any fsspec URI of those; or a `Source`
    dataset  its name in the store; None: the name of the folder or file
    model    what `load_encoder` takes, or an `Encoder`

    Items that cannot be ingested are counted, and written with the reason to
    `<dataset>.rejects.jsonl` in the current folder; they never stop the run. Ctrl-C stops it in
    order: what is encoded is stored, and the same call goes on from there.

    Raises `SourceError`, `EncoderError`, `StoreError` or `QueryError` when it cannot run at all.
    """
    started = time.perf_counter()
    options = options or IngestOptions()
    if isinstance(source, str | os.PathLike):
        source = open_source(source, source_options or SourceOptions())
    name = dataset or source.name
    encoder = load_encoder(model) if isinstance(model, str) else model
    report = IngestReport(dataset=name, model=encoder.spec.id, uri=public_uri(uri))
    with ExitStack() as stack:
        target = None
        if not (options.dry_run and is_missing_file(uri)):
            connection = stack.enter_context(Connection(uri, token=token, db_name=db_name))
            target = _open_target(connection, name, encoder, source, options)
        rejects = stack.enter_context(closing(RejectsFile(name)))
        _run(source, target, encoder, options, report, rejects)
        report.rejects_file = rejects.path if report.rejected else None
    report.seconds = time.perf_counter() - started
    return report


@dataclass(frozen=True, slots=True)
class _Target:
    """Where the rows go; counts are those before the run, empty for a new data set."""

    dataset: Dataset
    counts: dict[str, int]


def _open_target(
    connection: Connection, name: str, encoder: Encoder, source: Source, options: IngestOptions
) -> _Target | None:
    found = find_dataset(connection, name)
    if found is not None:
        _check_same(found.manifest, encoder, options)
        return _Target(found, found.counts())
    if options.dry_run:
        return None
    manifest = Manifest(
        dataset=name,
        encoder=encoder.spec.id,
        encoder_fingerprint=encoder.spec.fingerprint,
        dim=encoder.spec.dim,
        index_type=options.index_type or DEFAULT_INDEX,
        columns=dict(options.promote or {}),
    )
    return _Target(create_dataset(connection, manifest, source.size or 0), {})


def _check_same(manifest: Manifest, encoder: Encoder, options: IngestOptions) -> None:
    name = manifest.dataset
    remedy = f"drop it first (mm-milvus datasets drop {name}), or give another --dataset name"
    if manifest.encoder_fingerprint != encoder.spec.fingerprint:
        raise StoreError(
            f"data set {name!r} was built with {manifest.encoder} "
            f"(fingerprint {manifest.encoder_fingerprint}), and this is {encoder.spec.id} "
            f"(fingerprint {encoder.spec.fingerprint}): their vectors cannot be compared; {remedy}"
        )
    if options.promote is not None and dict(options.promote) != manifest.columns:
        raise StoreError(
            f"data set {name!r} was built with the promoted columns {manifest.columns}, "
            f"not {dict(options.promote)}; {remedy}"
        )
    if options.index_type not in (None, manifest.index_type):
        raise StoreError(
            f"data set {name!r} has the index {manifest.index_type}, "
            f"not {options.index_type}; {remedy}"
        )


def _run(
    source: Source,
    target: _Target | None,
    encoder: Encoder,
    options: IngestOptions,
    report: IngestReport,
    rejects: RejectsFile,
) -> None:
    dataset = target.dataset if target else None
    seen = Seen() if options.prune else None
    total = min(filter(None, (source.size, options.limit)), default=None)
    written = 0
    with ExitStack() as stack:
        halt = stack.enter_context(halt_on_signal())
        writers = stack.enter_context(ThreadPoolExecutor(2, thread_name_prefix="mm-milvus-write"))
        quiet = None if options.progress else True
        bar = stack.enter_context(tqdm(total=total, unit="img", disable=quiet))
        for flow in _stages(stack, source, target, encoder, options, seen, halt):
            if dataset is not None and not options.dry_run:
                written += _write(flow, dataset, writers)
            report.account(flow)
            rejects.write(flow.rejects)
            bar.update(flow.read)
            bar.set_postfix(rejected=report.rejected, skipped=report.skipped, refresh=False)
        report.interrupted = halt.is_set()
    if target is None:
        return
    if seen is not None and not report.interrupted:
        report.pruned = prune(target.dataset, seen, dry_run=options.dry_run)
    # An unfinished earlier run shows in counts that the manifest does not have.
    changed = written or report.pruned or target.dataset.manifest.rows != target.counts
    if changed and not options.dry_run:
        target.dataset.finish()


def _stages(
    stack: ExitStack,
    source: Source,
    target: _Target | None,
    encoder: Encoder,
    options: IngestOptions,
    seen: Seen | None,
    halt: threading.Event,
) -> Iterator[Flow]:
    """The pipeline, each stage ahead of the next; it ends with the stack."""
    stop = threading.Event()

    def ahead(stream: Iterator[Flow]) -> Prefetch[Flow]:
        return stack.enter_context(closing(Prefetch(stream, stop)))

    stored = target.dataset if target and any(target.counts.values()) else None
    columns = target.dataset.manifest.columns if target else dict(options.promote or {})
    accepted = ahead(read(source, columns, options.limit, halt))
    planned = ahead(plan(accepted, stored, seen))
    decoded = ahead(decode(planned, encoder.spec.preprocessing, os.cpu_count() or 1))
    if options.dry_run:
        return ahead(estimate(decoded))
    return ahead(encode(decoded, encoder, options.batch_size or encoder.batch_size, halt))


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
