"""Keeps what the engines print by themselves off the terminal: importing this module is enough.

An application that configures `logging` gets their logs. What matters to a caller is an error.
"""

from __future__ import annotations

import logging
from typing import Any

import pymilvus  # noqa: F401 - it adds the handlers that are removed here
from milvus_lite.index import faiss_ivf_flat, faiss_ivf_sq8

PYMILVUS_LOGGERS = ("pymilvus", "pymilvus.bulk_writer", "pymilvus.milvus_client")
"""Loggers to which pymilvus gives handlers that print: warnings, and a traceback for each call that
fails."""

for _name in PYMILVUS_LOGGERS:
    _logger = logging.getLogger(_name)
    _logger.handlers = [
        handler for handler in _logger.handlers if type(handler) is not logging.StreamHandler
    ]
    _logger.propagate = True

# Milvus Lite logs a traceback for each call that it refuses. Without this, what no handler takes is
# printed by the last resort of `logging`.
for _name in ("milvus_lite", "grpc._server", "pymilvus"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


_FAISS: Any = faiss_ivf_flat.faiss


class _QuietFaiss:
    """The module faiss for Milvus Lite: its clustering does not print how few points it was given.

    Milvus Lite indexes each segment with the nlist of the collection; there is nothing to be done
    about a segment that is small for it, and it is merged with others later.
    """

    def __getattr__(self, name: str) -> Any:
        made = getattr(_FAISS, name)
        return _quiet(made) if name.startswith("IndexIVF") else made


def _quiet(index_type: Any) -> Any:
    def make(*arguments: Any) -> Any:
        index = index_type(*arguments)
        index.cp.min_points_per_centroid = 1
        return index

    return make


for _module in (faiss_ivf_flat, faiss_ivf_sq8):
    _module.faiss = _QuietFaiss()
