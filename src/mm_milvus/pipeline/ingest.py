"""The loop that shows the whole ingest."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mm_milvus.encoders import Encoder, load_encoder
from mm_milvus.errors import QueryError, StoreError
from mm_milvus.pipeline.flow import Flow
from mm_milvus.pipeline.interrupt import halt_on_signal
from mm_milvus.pipeline.prefetch import Prefetch
from mm_milvus.pipeline.prune import Seen, prune
from mm_milvus.pipeline.rejects import RejectsFile
from mm_milvus.pipeline.stages import decode, encode, estimate, plan, read
from mm_milvus.sources import Source, SourceOptions, open_source
from mm_milvus.store import (
    COLUMN_TYPES,
    INDEX_TYPES,
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


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How to ingest.

    promote     metadata keys that become typed columns: `{"price": "double"}`; of `COLUMN_TYPES`
    index_type  one of `INDEX_TYPES`; None: what the data set has, IVF_FLAT for a new one
    prune       delete what is stored and no longer in the source
    limit       stop after this many items
    dry_run     read, compare and decode, but neither encode nor write
    batch_size  images a call of the encoder; None: what the encoder finds best
    progress    draw a bar on stderr, when that is a terminal
    """

    promote: Mapping[str, str] | None = None
    index_type: str | None = None
    prune: bool = False
    limit: int | None = None
    dry_run: bool = False
    batch_size: int | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense, with a `QueryError`."""
        for name, kind in (self.promote or {}).items():
            if kind not in COLUMN_TYPES:
                raise QueryError(
                    f"cannot promote {name} to {kind!r}: the types are {', '.join(COLUMN_TYPES)}"
                )
        if self.index_type is not None and self.index_type not in INDEX_TYPES:
            raise QueryError(
                f"unknown index {self.index_type!r}: the types are {', '.join(INDEX_TYPES)}"
            )
        for name, value in (("limit", self.limit), ("batch size", self.batch_size)):
            if value is not None and value < 1:
                raise QueryError(f"the {name} is {value}, and must be at least 1")
        if self.prune and self.limit is not None:
            raise QueryError("prune needs the whole data set: leave out the limit")


@dataclass(slots=True)
class IngestReport:
    """What an ingest did.

    items     read from the source; each is skipped, rejected, or has something written
    images    encoded and stored; in a dry run, that would be
    captions  encoded and stored
    skipped   items that were stored already, with the same image and captions
    rejected  items and captions that were turned away, with the reason in `rejects_file`
    pruned    stored images and captions that left the data set, and were deleted
    images_per_second  items that went through a second, skipped ones included
    """

    dataset: str
    model: str
    uri: str
    items: int = 0
    images: int = 0
    captions: int = 0
    skipped: int = 0
    rejected: int = 0
    pruned: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    rejects_file: Path | None = None

    @property
    def images_per_second(self) -> float:
        """The rate of the whole run, model loading and indexing included."""
        return self.items / self.seconds if self.seconds else 0.0

    def account(self, flow: Flow) -> None:
        """Add what became of a flow."""
        self.items += flow.read
        self.images += flow.images
        self.captions += flow.captions
        self.skipped += flow.skipped
        self.rejected += len(flow.rejects)

    def to_dict(self) -> dict[str, Any]:
        """What `mm-milvus ingest --json` prints."""
        fields = asdict(self)
        names = ["dataset", "items", "images", "captions", "skipped", "rejected", "pruned"]
        return {
            **{name: fields[name] for name in names},
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
            "model": self.model,
            "uri": self.uri,
        }


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
        rejects = stack.enter_context(RejectsFile(name))
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
    known = dataset if target and any(target.counts.values()) else None
    columns = dataset.manifest.columns if dataset else dict(options.promote or {})
    seen = Seen() if options.prune else None
    stop = threading.Event()
    total = min(filter(None, (source.size, options.limit)), default=None)
    with ExitStack() as stack:
        halt = stack.enter_context(halt_on_signal())

        def ahead(stream: Iterator[Flow]) -> Prefetch[Flow]:
            return stack.enter_context(Prefetch(stream, stop))

        bar = stack.enter_context(
            tqdm(total=total, unit="img", disable=None if options.progress else True)
        )
        writers = stack.enter_context(ThreadPoolExecutor(2, thread_name_prefix="mm-milvus-write"))
        items = ahead(read(source, columns, options.limit, halt))
        planned = ahead(plan(items, known, seen))
        decoded = ahead(decode(planned, encoder.spec.preprocessing, os.cpu_count() or 1))
        if options.dry_run:
            finished = ahead(estimate(decoded))
        else:
            batch_size = options.batch_size or encoder.batch_size
            finished = ahead(encode(decoded, encoder, batch_size, halt))
        for flow in finished:
            if dataset is not None and not options.dry_run:
                _write(flow, dataset, writers)
            report.account(flow)
            rejects.write(flow.rejects)
            bar.update(flow.read)
            bar.set_postfix(rejected=report.rejected, skipped=report.skipped, refresh=False)
    report.interrupted = halt.is_set()
    if target is None:
        return
    if seen is not None and not report.interrupted:
        report.pruned = prune(target.dataset, seen, dry_run=options.dry_run)
    if not options.dry_run and _changed(report, target):
        target.dataset.finish()


def _write(flow: Flow, dataset: Dataset, writers: ThreadPoolExecutor) -> None:
    columns = dataset.manifest.columns
    writes = [
        writers.submit(
            collection.upsert,
            [row for item in flow.items for row in item.rows(collection.modality)],
            columns,
        )
        for collection in dataset.collections
    ]
    for write in writes:
        write.result()
    dataset.texts.delete([key for item in flow.items for key in item.stale])


def _changed(report: IngestReport, target: _Target) -> bool:
    """Whether the index and the counts of the manifest may be out of date."""
    done = target.dataset.manifest.rows
    return bool(report.images or report.captions or report.pruned) or done != target.counts
