"""What every source shares: its options, its protocol, and the way from items to batches."""

from __future__ import annotations

import datetime
import decimal
import json
import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol
from uuid import UUID

import pyarrow as pa

from mm_milvus.files import Place, read_failure
from mm_milvus.keys import DIGEST_BYTES
from mm_milvus.schema import ITEMS
from mm_milvus.text import printable

MAX_ROWS = 256
MAX_BATCH_BYTES = 32 * 2**20
"""Bounds of a batch; one item that is larger than this is a batch of its own."""

READ_THREADS = 8


class Source(Protocol):
    """A data set that can be read, any number of times.

    name  the folder's or file's name, without its suffix
    size  how many items there are, at most; None where only reading would tell
    """

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int | None: ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The items, in a stable order: batches of `ITEMS`, of at most `MAX_ROWS` rows."""
        ...


@dataclass(slots=True)
class Draft:
    """An item on its way into a batch; `image` is a place as long as it is not read."""

    item_id: str
    uri: str
    captions: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    image: bytes | Place | None = None
    rejected: str | None = None


def reject(item_id: str, uri: str, why: str) -> Draft:
    """An item that cannot be ingested, with the reason."""
    return Draft(item_id or "(no name)", uri, rejected=why)


def to_batches(drafts: Iterable[Draft]) -> Iterator[pa.RecordBatch]:
    """Read the images that are still files, and collect the items into batches, in order."""
    rows: list[dict[str, Any]] = []
    size = 0
    for draft in _read_images(drafts):
        row = _row(draft)
        weight = _weight(row)
        if rows and (len(rows) == MAX_ROWS or size + weight > MAX_BATCH_BYTES):
            yield pa.RecordBatch.from_pylist(rows, schema=ITEMS)
            rows, size = [], 0
        rows.append(row)
        size += weight
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=ITEMS)


def _read_images(drafts: Iterable[Draft]) -> Iterator[Draft]:
    pending: deque[tuple[Draft, Future[bytes] | None]] = deque()
    with ThreadPoolExecutor(READ_THREADS, thread_name_prefix="mm-milvus-read") as pool:
        try:
            for draft in drafts:
                image = draft.image
                job = pool.submit(image.read) if isinstance(image, Place) else None
                pending.append((draft, job))
                if len(pending) > READ_THREADS:
                    yield _finish(*pending.popleft())
            while pending:
                yield _finish(*pending.popleft())
        finally:
            for _, job in pending:
                if job is not None:
                    job.cancel()


def _finish(draft: Draft, job: Future[bytes] | None) -> Draft:
    if job is None:
        return draft
    try:
        draft.image = job.result()
    except Exception as error:  # each filesystem has errors of its own
        draft.image = None
        draft.rejected = f"the image cannot be read: {read_failure(error)}"
    return draft


def _row(draft: Draft) -> dict[str, Any]:
    rejected = draft.rejected
    if rejected is None and not draft.image:
        rejected = "the image file is empty"
    try:
        metadata = json.dumps(plain(draft.metadata) or {}, ensure_ascii=False)
    except RecursionError:
        metadata, rejected = "{}", rejected or "its metadata is nested too deeply"
    return {
        "item_id": printable(draft.item_id),
        "uri": printable(draft.uri),
        "image": draft.image if rejected is None else None,
        "captions": [printable(text) for text in draft.captions if text.strip()],
        "metadata": metadata,
        "rejected": None if rejected is None else printable(" ".join(rejected.split())),
    }


def _weight(row: dict[str, Any]) -> int:
    texts = [row["item_id"], row["uri"], row["metadata"], *row["captions"]]
    return len(row["image"] or b"") + sum(4 * len(text) for text in texts)


def plain(value: Any) -> Any:
    """A value as JSON has it: dates as ISO 8601; null, NaN and bytes left out (None here)."""
    match value:
        case dict():
            pairs = ((printable(str(key)), plain(inner)) for key, inner in value.items())
            return {key: inner for key, inner in pairs if inner is not None}
        case list() | tuple():
            return [inner for inner in map(plain, value) if inner is not None]
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


class Ids:
    """The ids seen so far, and where: a digest of 16 bytes and a number for each."""

    def __init__(self) -> None:
        """Start with none."""
        self._seen: dict[bytes, int] = {}

    def first(self, item_id: str, number: int) -> int:
        """The number that the id was first seen with: this one, if it is new."""
        return self._seen.setdefault(_digest(item_id), number)

    def __contains__(self, item_id: str) -> bool:
        """Whether the id was seen."""
        return _digest(item_id) in self._seen


def _digest(item_id: str) -> bytes:
    return blake2b(item_id.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).digest()
