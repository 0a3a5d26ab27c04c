"""A stage in a thread of its own, behind a bounded queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Generic, Self, TypeVar

T = TypeVar("T")

POLL_S = 0.1


class _End:
    """The end of a stream; `error` is the exception that ended it early."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Prefetch(Generic[T]):
    """Runs an iterator ahead of its consumer, in its own thread, by at most `depth` values.

    Order is kept. An exception of the iterator is raised to the consumer, after the values before
    it. An exception in the consumer leaves the queue intact: iteration can continue.
    """

    def __init__(self, stream: Iterator[T], stop: threading.Event, depth: int = 2) -> None:
        """Start the thread.

        Args:
            stream: The iterator to run.
            stop: Shared by all stages of a pipeline. Once it is set, every wait ends, so that no
                stage waits for another that has ended.
            depth: Maximum number of values in the queue.
        """
        self._stream = stream
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._stop = stop
        self._over = False
        self._thread = threading.Thread(target=self._run, name="mm-milvus-stage", daemon=True)
        self._thread.start()

    def __iter__(self) -> Self:
        """Iterate once."""
        return self

    def __next__(self) -> T:
        """Return the next value; wait for it."""
        while not (self._over or self._stop.is_set()):
            try:
                value = self._queue.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if not isinstance(value, _End):
                return value
            self._over = True
            if value.error is not None:
                raise value.error
        raise StopIteration

    def close(self) -> None:
        """Stop all stages, and wait until this one has closed its iterator."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            for value in self._stream:
                if not self._put(value):
                    return
            end = _End()
        except BaseException as error:  # the consumer raises it again
            end = _End(error)
        finally:
            if close := getattr(self._stream, "close", None):
                close()
        self._put(end)

    def _put(self, value: T | _End) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(value, timeout=POLL_S)
            except queue.Full:
                continue
            return True
        return False
