"""A limit of the memory that all threads of the process decode images in."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType

MEMORY_BYTES = 2 * 2**30
"""Estimated bytes that decoding may take in all threads together. A JPEG of 24 megapixels is
estimated at 0.2 GB at its full size and far less where it is decoded smaller, so usual photos do
not wait for each other; two pictures at the limit of pixels do."""


class MemoryBudget:
    """A number of bytes that threads share, in the order in which they ask for a part of it.

    A thread that asks for more than all of it waits until no other thread has a part, and then
    goes ahead alone: no picture waits for ever. The order keeps small pictures from overtaking a
    large one for ever. A thread has at most one part at a time.
    """

    def __init__(self, total: int) -> None:
        """Begin with the whole budget free."""
        self._total = total
        self._free = total
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    def claim(self) -> MemoryClaim:
        """Return a claim of no bytes yet, to be used in a `with` statement."""
        return MemoryClaim(self)

    def take(self, size: int) -> int:
        """Wait until `size` bytes are free, and take them; return the number to give back."""
        size = min(size, self._total)
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            try:
                self._changed.wait_for(
                    lambda: self._queue[0] is ticket and self._free >= size,
                )
                self._free -= size
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()
        return size

    def give_back(self, size: int) -> None:
        """Return bytes that were taken."""
        with self._changed:
            self._free += size
            self._changed.notify_all()


class MemoryClaim:
    """The part of a budget that one picture takes, given back when the `with` block ends."""

    def __init__(self, budget: MemoryBudget) -> None:
        """Begin without a part."""
        self._budget = budget
        self._size = 0

    def take(self, size: int) -> None:
        """Take a part; a part that was taken before is given back first."""
        self.release()
        self._size = self._budget.take(size)

    def release(self) -> None:
        """Give the part back, if there is one."""
        if self._size:
            self._budget.give_back(self._size)
            self._size = 0

    def __enter__(self) -> MemoryClaim:
        """Return the claim."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the part back."""
        self.release()


DECODING = MemoryBudget(MEMORY_BYTES)
"""The budget of this process."""
