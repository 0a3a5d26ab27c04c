"""The whole path of a run: read, stages, sink; with the limit, rejects, progress and counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any, Protocol

import pyarrow as pa

from mm_milvus.choices import ProgressMode
from mm_milvus.pipeline.batch import Batch
from mm_milvus.pipeline.prefetch import Prefetch
from mm_milvus.pipeline.report import Report
from mm_milvus.progress import show_progress
from mm_milvus.rejects import RejectsFile

Stage = Callable[[Iterator[Any]], Iterator[Batch[Any]]]
"""Maps batches to batches; the first of a run maps Arrow record batches to batches."""


class Readable(Protocol):
    """What a run can read: a source, or embeddings."""

    @property
    def size(self) -> int | None:
        """Maximum number of items; None where only reading would tell."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the items in record batches."""


def run(
    source: Readable,
    stages: Sequence[Stage],
    sink: Callable[[Batch[Any]], None],
    *,
    report: Report,
    rejects: RejectsFile,
    interrupt: threading.Event,
    limit: int | None = None,
    progress: ProgressMode | bool = "none",
) -> None:
    """Pull all items of a source through the stages, and give the results to the sink.

    Each stage runs ahead of the next in a thread of its own, behind a bounded queue; the sink runs
    in the caller's thread. An exception of a stage or of the sink ends the run and is raised here.

    Args:
        source: Where the items come from.
        stages: The first takes record batches, the others what the one before yields.
        sink: Called with each batch that left the last stage.
        report: Counts, filled in as batches leave the sink.
        rejects: Receives what the stages rejected.
        interrupt: Once it is set, nothing more is read; what was read continues through the stages.
        limit: Stop after this many items (default: all).
        progress: How to show progress on stderr.
    """
    total = min(filter(None, (source.size, limit)), default=None)
    stop = threading.Event()
    with ExitStack() as stack:
        shown = stack.enter_context(show_progress(progress, unit="items", total=total))
        stream: Iterator[Any] = _read(source, limit, interrupt)
        for stage in stages:
            stream = stack.enter_context(closing(Prefetch(stage(stream), stop)))
        for batch in stream:
            sink(batch)
            report.add(batch)
            rejects.write(batch.rejects)
            shown.update(batch.read)
            shown.set_counts(rejected=report.rejected, skipped=report.skipped)
    report.rejects_failure = rejects.failure
    report.rejects_file = rejects.path if report.rejected and not rejects.failure else None
    report.skipped_files = dict(getattr(source, "skipped_files", {}))
    report.notes = dict(getattr(source, "notes", {}))
    report.interrupted = interrupt.is_set()


def _read(
    source: Readable, limit: int | None, interrupt: threading.Event
) -> Iterator[pa.RecordBatch]:
    remaining = float("inf") if limit is None else limit
    for batch in source.batches():
        if remaining <= 0 or interrupt.is_set():
            return
        records = batch if batch.num_rows <= remaining else batch.slice(0, int(remaining))
        remaining -= records.num_rows
        yield records
