"""Retries of reads while an ingest rebuilds an index, or a rebuild takes over a name."""

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
"""Messages of the engines about a collection that is released or being loaded, or partly so."""

_SWITCHING = re.compile(
    r"collection '.+' does not exist|can't find collection|collection not found\[(?!collection=\d)",
    re.IGNORECASE,
)
"""Messages about a collection that the first rebuild of a dataset has just renamed, before its
name leads to the new one; or about one that no longer exists."""


def retry_while_loading(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call, and retry while the collection is loading or a rebuild switches to another one.

    Args:
        call: A read of pymilvus.
        *arguments: Its arguments.
        **options: Its keywords.

    Returns:
        What the call returns.

    Raises:
        MilvusException: When the call fails for another reason, or for longer than
            `RELOAD_TIMEOUT_S` or `SWITCH_TIMEOUT_S`.
    """
    started = time.monotonic()
    while True:
        try:
            return call(*arguments, **options)
        except MilvusException as error:
            if time.monotonic() - started > _patience_s(error.message):
                raise
        time.sleep(POLL_S)


def _patience_s(message: str) -> float:
    """Return for how many seconds to retry after an error with this message."""
    if _SWITCHING.search(message):
        return SWITCH_TIMEOUT_S
    return RELOAD_TIMEOUT_S if _RELOADING.search(message) else 0.0
