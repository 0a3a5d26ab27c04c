"""Progress of long calls on stderr: a bar on a terminal or in a notebook, else a line now and then.

Whatever happens to stderr, such as a closed terminal, never ends a call.
"""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from mm_milvus.choices import ProgressMode

LOG_SECONDS = 30.0
"""Seconds between two lines where there is no terminal."""


class Progress(Protocol):
    """What a call reports its progress to."""

    def update(self, count: int = 1) -> object:
        """Add the number of units that are done."""

    def set_counts(self, **counts: int) -> None:
        """Set further counts to show, by name."""


@contextmanager
def show_progress(
    mode: ProgressMode | bool,
    *,
    unit: str,
    total: int | None = None,
    title: str = "",
    interval: float = LOG_SECONDS,
) -> Iterator[Progress]:
    """Show the progress of a block on stderr.

    Args:
        mode: `auto`: a bar on a terminal or in a notebook, else lines; `bar`; `log`; `none`. True
            is `auto`, and False is `none`.
        unit: What is counted.
        total: How many units there are; None where that is unknown.
        title: What the block does; may be empty.
        interval: Seconds between two lines.

    Yields:
        What receives the counts.
    """
    match _resolved(mode):
        case "bar":
            with _bar(unit, total, title) as bar:
                yield bar
        case "log":
            log = _Log(unit, total, title, interval)
            try:
                yield log
            finally:
                log.close()
        case _:
            yield _Silent()


def print_line(mode: ProgressMode | bool, text: str) -> None:
    """Print a line on stderr, unless no progress is shown."""
    if _resolved(mode) != "none":
        write_stderr(text)


def write_stderr(text: str) -> None:
    """Print a line on stderr if it is open; where it is closed, `print` would write to stdout."""
    if sys.stderr is not None:
        try:
            print(text, file=sys.stderr, flush=True)
        except (OSError, ValueError):
            return


def _resolved(mode: ProgressMode | bool) -> ProgressMode:
    if isinstance(mode, bool):
        mode = "auto" if mode else "none"
    if sys.stderr is None:
        return "none"
    if mode == "auto":
        try:
            return "bar" if _in_notebook() or sys.stderr.isatty() else "log"
        except ValueError:  # stderr is closed
            return "none"
    return mode


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules


class _Silent:
    """Shows nothing."""

    def update(self, count: int = 1) -> None:
        """Ignore a count."""

    def set_counts(self, **counts: int) -> None:
        """Ignore counts."""


class _Log:
    """Prints a line at intervals, from a thread of its own: also while nothing is done."""

    def __init__(self, unit: str, total: int | None, title: str, interval: float) -> None:
        self._unit, self._total, self._title = unit, total, title
        self._done = 0
        self._counts: dict[str, int] = {}
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(interval,), daemon=True)
        self._thread.start()

    def update(self, count: int = 1) -> None:
        """Add the number of units that are done."""
        self._done += count

    def set_counts(self, **counts: int) -> None:
        """Set further counts to show, by name."""
        self._counts = counts

    def close(self) -> None:
        """Print nothing any more."""
        self._ended.set()
        self._thread.join()

    def _run(self, interval: float) -> None:
        while not self._ended.wait(interval):
            write_stderr(self._line())

    def _line(self) -> str:
        seconds = time.monotonic() - self._started
        total = "" if self._total is None else f" of {self._total:,}"
        counts = "".join(f", {count:,} {name}" for name, count in self._counts.items())
        title = f"{self._title}: " if self._title else ""
        rate = self._done / seconds
        return f"{title}{self._done:,}{total} {self._unit}, {rate:,.1f}/s{counts}, {seconds:,.0f} s"


class _SafeStream:
    """A stream whose writes fail in silence."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return int(self._stream.write(text))
        except (OSError, ValueError):
            return 0

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return


class _Bar:
    """A bar of tqdm."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def update(self, count: int = 1) -> None:
        """Add the number of units that are done."""
        self._bar.update(count)

    def set_counts(self, **counts: int) -> None:
        """Set further counts to show, by name."""
        self._bar.set_postfix(counts, refresh=False)


@contextmanager
def _bar(unit: str, total: int | None, title: str) -> Iterator[_Bar]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without ipywidgets, a notebook gets a bar of text
        from tqdm.auto import tqdm
    file = None if _in_notebook() else _SafeStream(sys.stderr)
    with tqdm(total=total, unit=f" {unit}", desc=title or None, file=file, leave=not title) as bar:
        yield _Bar(bar)
