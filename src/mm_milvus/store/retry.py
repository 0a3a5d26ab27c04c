"""Reads that wait while an ingest makes an index anew, or a rebuild takes a collection's name."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from pymilvus.exceptions import MilvusException

RELOAD_TIMEOUT_S = 60.0
SWITCH_TIMEOUT_S = 3.0
POLL_S = 0.1

_RELOADING = re.compile(
    r"not (?:fully )?loaded|is in state '(?:released|loading)'|collection not found\[collection=\d"
    r"|(?:channel|segment|replica|shard)s? (?:not|lack)|no available shard|service not ready",
    re.IGNORECASE,
)
"""What the engines say of a collection that is released, being loaded, or half of either."""

_SWITCHING = re.compile(
    r"collection '.+' does not exist|can't find collection|collection not found\[(?!collection=\d)",
    re.IGNORECASE,
)
"""What they say of a collection that was just renamed, at the end of a first rebuild, before its
name leads to the new one; or of one that is no more."""


def retry_while_loading(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What the call returns, as soon as the collection is loaded.

    Raises the `MilvusException` of the call, where it has another cause or lasts too long.
    """
    started = time.monotonic()
    while True:
        try:
            return call(*arguments, **options)
        except MilvusException as error:
            if time.monotonic() - started > _longest_wait(error.message):
                raise
        time.sleep(POLL_S)


def _longest_wait(message: str) -> float:
    if _RELOADING.search(message):
        return RELOAD_TIMEOUT_S
    return SWITCH_TIMEOUT_S if _SWITCHING.search(message) else 0.0
