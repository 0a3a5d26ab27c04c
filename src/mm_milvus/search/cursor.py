"""Cursors: where the next page of a query begins, as an opaque text."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from mm_milvus.choices import MAX_LIMIT
from mm_milvus.errors import QueryError
from mm_milvus.keys import content_hash
from mm_milvus.search.options import SearchOptions
from mm_milvus.search.query import Query
from mm_milvus.search.rerank import stage_name

VERSION = 1
"""Version of the cursors' format."""


def page_options(query: Query, options: SearchOptions, cursor: str | None) -> SearchOptions:
    """Return the options of the page that a cursor stands for; of the first page without one.

    Raises:
        QueryError: When the cursor is none of this query and these options.
    """
    if cursor is None:
        return options
    version, offset, of = _parsed(cursor)
    if version != VERSION:
        raise QueryError(f"the cursor has version {version}, and this mm-milvus reads {VERSION}")
    if of != _identity(query, options):
        raise QueryError(
            "the cursor is that of another query or of other options; give those of the page "
            "before, or leave the cursor out for the first page"
        )
    return replace(options, offset=offset, top_k=min(options.top_k, MAX_LIMIT - offset))


def next_cursor(query: Query, options: SearchOptions) -> str:
    """Return the cursor of the page after one."""
    content = [VERSION, options.offset + options.top_k, _identity(query, options)]
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def _parsed(cursor: str) -> tuple[int, int, str]:
    try:
        version, offset, of = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        if 0 <= int(offset) < MAX_LIMIT:
            return int(version), int(offset), str(of)
    except (ValueError, TypeError):
        pass
    raise QueryError(f"{str(cursor)[:60]!r} is no cursor; give the one that the page before has")


def _identity(query: Query, options: SearchOptions) -> str:
    """Return a hash of what a ranking depends on: everything but the page."""
    whole = replace(options, offset=0, top_k=1)
    return content_hash(json.dumps([_plain(query), _plain(whole)], ensure_ascii=False))


def _plain(value: Any) -> Any:
    """Return a value as JSON types, equal ones for equal values in every process."""
    if is_dataclass(value) and not isinstance(value, type):
        return [
            type(value).__name__,
            *(_plain(getattr(value, each.name)) for each in fields(value)),
        ]
    match value:
        case None | bool() | int() | float() | str():
            return value
        case os.PathLike():
            return os.fspath(value)
        case bytes():
            return content_hash(value)
        case np.ndarray():
            return [value.shape, content_hash(value.tobytes())]
        case Image.Image():
            return [value.mode, value.size, content_hash(value.tobytes())]
        case Mapping():
            return sorted([key, _plain(each)] for key, each in value.items())
        case list() | tuple():
            return [_plain(each) for each in value]
    return stage_name(value)
