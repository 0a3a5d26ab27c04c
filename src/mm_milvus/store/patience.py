"""Reads that wait while an ingest makes an index anew: for that time nothing can be read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from pymilvus.exceptions import MilvusException

RELOAD_TIMEOUT_S = 60.0
POLL_S = 0.1

_RELOADING = re.compile(
    r"not (?:fully )?loaded|is in state '(?:released|loading)'|collection not found\[collection=\d"
    r"|channel .*not (?:found|available)|no available shard",
    re.IGNORECASE,
)
"""What the engines say of a collection that is released, being loaded, or half of either."""


def patiently(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What the call returns, as soon as the collection is loaded.

    Raises the `MilvusException` of the call, where it has another cause or lasts for
    `RELOAD_TIMEOUT_S`.
    """
    deadline = time.monotonic() + RELOAD_TIMEOUT_S
    while True:
        try:
            return call(*arguments, **options)
        except MilvusException as error:
            if not _RELOADING.search(error.message) or time.monotonic() > deadline:
                raise
        time.sleep(POLL_S)
