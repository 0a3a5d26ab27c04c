"""Whether an open store or client can still be used: not closed, and in the process that opened it.

Neither gRPC nor Milvus Lite survives a fork: their threads do not exist in the child process, and
a call would wait for them for ever. What the child inherits of Milvus Lite is set aside there, for
otherwise the end of the child would stop the engine and remove the lock of the parent's file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from milvus_lite.server_manager import server_manager_instance

from mm_milvus.errors import StoreError


class Lifetime:
    """The time during which an object can be used: until it is closed, in one process.

    Attributes:
        closed: Whether it was closed.
    """

    def __init__(self, name: str) -> None:
        """Begin.

        Args:
            name: What the object is, for messages: "the client".
        """
        self.closed = False
        self._name = name
        self._process = os.getpid()

    @property
    def is_inherited(self) -> bool:
        """Whether this is a child process of the one that made the object."""
        return os.getpid() != self._process

    def check(self) -> None:
        """Raise StoreError when the object can no longer be used."""
        if self.is_inherited:
            raise StoreError(
                f"{self._name} was opened before this process was forked, and does not work in it; "
                "open one in each process, or start processes by `spawn` instead of `fork`"
            )
        if self.closed:
            raise StoreError(f"{self._name} is closed; open another one")


_inherited: list[Any] = []
"""What child processes must neither use nor destroy."""


def _set_engines_aside() -> None:
    servers = getattr(server_manager_instance, "_servers", {})
    _inherited.extend(servers.values())
    servers.clear()


def in_child_processes(reset: Callable[[], object]) -> None:
    """Call a function in each child process that is forked from this one, where there are any."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=reset)


in_child_processes(_set_engines_aside)
