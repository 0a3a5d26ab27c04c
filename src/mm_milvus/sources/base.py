"""What all sources share: their protocol, and the way from items to record batches."""

from __future__ import annotations

import datetime
import decimal
import json
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from typing import Any, Protocol
from uuid import UUID

import pyarrow as pa

from mm_milvus.concurrent import map_ahead
from mm_milvus.files import Place, read_failure
from mm_milvus.keys import DIGEST_BYTES
from mm_milvus.schema import ITEMS
from mm_milvus.text import one_line, printable

MAX_ROWS = 256
"""Maximum number of items per batch."""

MAX_BATCH_BYTES = 32 * 2**20
"""Maximum size of a batch; an item that is larger is a batch of its own."""

READ_THREADS = 8

FETCH_WINDOW = 4
"""Remote images that are read or wait for their turn, per image that is read in parallel: while
one is slow, this many of the others continue."""


class Source(Protocol):
    """A dataset that can be read, any number of times."""

    @property
    def name(self) -> str:
        """The name of the folder or file, without its suffix."""
        ...

    @property
    def size(self) -> int | None:
        """An upper bound of the number of items; None where it is unknown without reading."""
        ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the items in a stable order.

        Yields:
            Record batches of the schema `ITEMS`, of at most `MAX_ROWS` rows. An item that cannot
            be used is a row with a reason in `rejected`.
        """
        ...


@dataclass(slots=True)
class Draft:
    """An item before it is part of a batch.

    Attributes:
        item_id: The stable name of the item inside its dataset.
        uri: Where its image is read from; empty for an item without an image.
        captions: Zero or more captions.
        metadata: Values of any type; `to_json` makes JSON of them.
        image: The image file's content, or the place that it is read from; None for an item
            without an image.
        rejected: Why the item cannot be used; None where it can.
    """

    item_id: str
    uri: str
    captions: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    image: bytes | Place | None = None
    rejected: str | None = None


def rejected_draft(item_id: str, uri: str, reason: str) -> Draft:
    """Return an item that cannot be used."""
    return Draft(item_id or "(no name)", uri, rejected=reason)


def to_batches(drafts: Iterable[Draft], fetch_concurrency: int) -> Iterator[pa.RecordBatch]:
    """Read the images that are still files, and collect the items into batches, in order.

    Args:
        drafts: Consumed a few items ahead of the batches.
        fetch_concurrency: Remote images that are read in parallel.

    Yields:
        Record batches of the schema `ITEMS`, bounded by `MAX_ROWS` and `MAX_BATCH_BYTES`.
    """
    rows: list[dict[str, Any]] = []
    size = 0
    for draft in _read_images(drafts, fetch_concurrency):
        row = _to_row(draft)
        row_size = _size_of(row)
        if rows and (len(rows) == MAX_ROWS or size + row_size > MAX_BATCH_BYTES):
            yield pa.RecordBatch.from_pylist(rows, schema=ITEMS)
            rows, size = [], 0
        rows.append(row)
        size += row_size
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=ITEMS)


def _read_images(drafts: Iterable[Draft], fetch_concurrency: int) -> Iterator[Draft]:
    """Read files in parallel; drafts that have their image's bytes do not pass through a pool."""
    with (
        ThreadPoolExecutor(READ_THREADS, thread_name_prefix="mm-milvus-read") as readers,
        ThreadPoolExecutor(fetch_concurrency, thread_name_prefix="mm-milvus-fetch") as fetchers,
    ):
        for kind, run in groupby(drafts, _kind_of_image):
            if kind == "bytes":
                yield from run
            elif kind == "local":
                yield from map_ahead(readers, _read_image, run, READ_THREADS + 1)
            else:
                window = FETCH_WINDOW * fetch_concurrency
                yield from map_ahead(fetchers, _read_image, run, window)


def _kind_of_image(draft: Draft) -> str:
    if isinstance(draft.image, Place):
        return "local" if draft.image.fs is None else "remote"
    return "bytes"


def _read_image(draft: Draft) -> Draft:
    if isinstance(draft.image, Place):
        try:
            draft.image = draft.image.read()
        except Exception as error:  # each filesystem has errors of its own
            draft.image = None
            draft.rejected = f"the image cannot be read: {read_failure(error)}"
    return draft


def _to_row(draft: Draft) -> dict[str, Any]:
    rejected = draft.rejected
    captions = _distinct(draft.captions)
    if rejected is None and draft.image is not None and not draft.image:
        rejected = "the image file is empty"
    if rejected is None and draft.image is None and not captions:
        rejected = "it has neither an image nor a caption"
    try:
        metadata = json.dumps(to_json(draft.metadata), ensure_ascii=False)
    except RecursionError:
        metadata, rejected = "{}", rejected or "its metadata is nested too deeply"
    return {
        "item_id": printable(draft.item_id),
        "uri": printable(draft.uri) if draft.image is not None or rejected else "",
        "image": draft.image if rejected is None else None,
        "captions": captions,
        "metadata": metadata,
        "rejected": None if rejected is None else printable(one_line(rejected)),
    }


def _distinct(captions: list[str]) -> list[str]:
    """Return the captions in order, without blank ones, and each once: files often repeat them."""
    distinct: dict[str, str] = {}
    for caption in captions:
        if text := caption.strip():
            distinct.setdefault(text, printable(caption))
    return list(distinct.values())


def _size_of(row: dict[str, Any]) -> int:
    """Return an upper bound of the bytes that a row takes in a batch."""
    texts = [row["item_id"], row["uri"], row["metadata"], *row["captions"]]
    return len(row["image"] or b"") + sum(4 * len(text) for text in texts)


def to_json(value: Any) -> Any:
    """Return a value of JSON's types: dates as ISO 8601, null, NaN and bytes as None.

    Elements of lists and values of objects that would be None are omitted.
    """
    match value:
        case dict():
            pairs = ((printable(str(key)), to_json(inner)) for key, inner in value.items())
            return {key: inner for key, inner in pairs if inner is not None}
        case list() | tuple():
            return [inner for inner in map(to_json, value) if inner is not None]
        case str():
            return printable(value)
        case bool() | int():
            return value
        case float() | decimal.Decimal():
            return float(value) if math.isfinite(value) else None
        case datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return value.total_seconds()
        case UUID():
            return str(value)
        case _:
            return None


class SeenIds:
    """The ids of a dataset with the number of their first occurrence, as digests of 16 bytes."""

    def __init__(self) -> None:
        """Begin without ids."""
        self._numbers: dict[bytes, int] = {}

    def record(self, item_id: str, number: int) -> int:
        """Record an id; return the number of its first occurrence: this one, if it is new."""
        return self._numbers.setdefault(_digest(item_id), number)

    def __contains__(self, item_id: str) -> bool:
        """Return whether the id was recorded."""
        return _digest(item_id) in self._numbers


def _digest(item_id: str) -> bytes:
    return blake2b(item_id.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).digest()
