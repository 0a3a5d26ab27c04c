"""What commands that go through a dataset share: interruption, rejects, summary, exit code."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from mm_milvus.progress import write_stderr
from mm_milvus.text import visible

if TYPE_CHECKING:
    from mm_milvus.embeddings.encode import EncodeReport
    from mm_milvus.ingestion.ingest import IngestReport
    from mm_milvus.pipeline.report import Report
    from mm_milvus.training.report import TrainReport
    from mm_milvus.verification.report import VerifyReport

EXIT_REJECTED = 3
EXIT_INTERRUPTED = 130

SHOWN_REASONS = 10

RESERVED = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
"""Characters that file names cannot have on some filesystems."""

DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|$)", re.IGNORECASE
)
"""Names of devices on Windows, with any suffix."""

MAX_NAME_BYTES = 200
"""Filesystems allow 255 bytes; the hash and the suffix need 23."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupted_by_signals() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets; the second raises KeyboardInterrupt.

    Outside the main thread, where Python allows no signal handler, the event is never set.
    """
    halt = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield halt
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if halt.is_set():
            raise KeyboardInterrupt
        halt.set()

    previous = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield halt
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def rejects_path(dataset: str) -> Path:
    """Return `<dataset>.rejects.jsonl` in the current folder, a file name on every filesystem.

    A name that has to be changed gets a hash, so that two datasets have two files.
    """
    from mm_milvus.keys import content_hash  # it loads numpy

    safe = RESERVED.sub("_", dataset.encode("utf-8", "replace").decode())
    if safe.startswith(".") or not safe or DEVICE.match(safe):
        safe = f"_{safe.lstrip('.')}"
    safe = safe.encode()[:MAX_NAME_BYTES].decode(errors="ignore")
    if safe != dataset:
        safe += f"-{content_hash(dataset.encode('utf-8', 'surrogatepass'))[:8]}"
    return Path(f"{safe}.rejects.jsonl")


def exit_code(report: Report | TrainReport) -> int:
    """Return 0, or the code of a run that was interrupted or rejected items."""
    if report.interrupted:
        return EXIT_INTERRUPTED
    return EXIT_REJECTED if report.rejected else 0


def summary(report: EncodeReport | IngestReport, verb: str) -> str:
    """Return the counts of a run as one line; the verb is what was done to its images."""
    return (
        f"{report.dataset}: {report.items:,} items read in {report.seconds:.1f} s "
        f"({report.images_per_second:,.1f}/s); {verb} {report.images:,} images and "
        f"{report.captions:,} captions; {report.skipped:,} items unchanged, "
        f"{report.pruned:,} rows pruned, {report.rejected:,} rejected"
    )


def print_rejects(report: Report | TrainReport | VerifyReport) -> None:
    """Print the number of rejects by reason, the most frequent first, and where they are."""
    ranked = sorted(report.rejects.items(), key=lambda pair: (-pair[1], pair[0]))
    for reason, count in ranked[:SHOWN_REASONS]:
        print(f"  {count:,} rejected: {visible(reason)}")
    if rest := ranked[SHOWN_REASONS:]:
        print(f"  {sum(count for _, count in rest):,} rejected for {len(rest):,} further reasons")
    if report.rejects_file:
        print(visible(f"rejects and their reasons: {report.rejects_file}"))


def print_rejects_failure(report: Report | TrainReport | VerifyReport) -> None:
    """Print on stderr why the rejects could not be written, if so."""
    if report.rejects_failure:
        write_stderr(f"mm-milvus: the rejects file {report.rejects_failure}")


def print_skipped_files(report: Report) -> None:
    """Print how many files of a folder were skipped, the most frequent suffixes first."""
    counts = sorted(report.skipped_files.items(), key=lambda count: (-count[1], count[0]))
    if counts:
        listed = ", ".join(f"{number:,} {suffix}" for suffix, number in counts[:8])
        more = f", and {sum(number for _, number in counts[8:]):,} others" if counts[8:] else ""
        print(visible(f"skipped files: {listed}{more} (not read as images, captions or tables)"))


def print_notes(report: Report) -> None:
    """Print what a user should know of the items, such as cells of another type."""
    for note, count in report.notes.items():
        print(visible(f"note: {count:,} {note}"))


def print_encoder_hint(report: Report) -> None:
    """Print that there are better encoders, after images were encoded with the small one."""
    if report.model == "compact" and report.images:
        print(
            "compact is small and runs anywhere; a CLIP model ranks better: "
            "--model laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
        )
