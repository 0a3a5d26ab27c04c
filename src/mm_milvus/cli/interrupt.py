"""Ctrl-C and SIGTERM stop an ingest in order: what is encoded is still stored."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupted_by_signals() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second interrupts at once.

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

    former = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield halt
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
