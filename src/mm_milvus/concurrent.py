"""Work that runs ahead of its consumer in a pool of threads, with results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(
    pool: Executor, function: Callable[[T], R], values: Iterable[T], ahead: int
) -> Iterator[R]:
    """Apply a function to each value in a pool; yield the results in order.

    Unlike `Executor.map`, which takes all values immediately, this takes a value only when fewer
    than `ahead` results are under way, so that memory is bounded and a slow consumer slows the
    producer.

    Args:
        pool: Where the calls run.
        function: Called with each value.
        values: Consumed in the caller's thread.
        ahead: Maximum number of calls under way or waiting to be yielded; at least 1.

    Yields:
        The results. An exception of a call is raised in its place; calls that have not begun are
        cancelled then, and also when the consumer closes the iterator.
    """
    pending: deque[Future[R]] = deque()
    try:
        for value in values:
            pending.append(pool.submit(function, value))
            if len(pending) == ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
