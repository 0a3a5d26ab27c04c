"""What travels through the stages: items with work left, and what was turned away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_milvus.rejects import Reject
from mm_milvus.schema import Modality
from mm_milvus.store import Row


@dataclass(slots=True)
class PendingRow:
    """A row on its way to the store.

    content    the image's file, or the caption
    embedding  None until it is encoded; set at once where it is stored, or was encoded elsewhere
    fresh      False where the same content is stored: only the details around it changed
    """

    id: str
    content: bytes | str
    content_hash: str
    embedding: NDArray[np.float32] | None = None
    fresh: bool = True


@dataclass(slots=True)
class Item:
    """An item with the rows that must be written; an unchanged row of the store is not among them.

    metadata_text  the metadata as the source wrote it
    fields         the texts that its document has besides the image, by field
    pixels         uint8 (height, width, 3) once the image is decoded
    stale          ids of stored captions that the item no longer has
    """

    item_id: str
    uri: str
    metadata: dict[str, Any]
    metadata_text: str
    detail_hash: str
    image: PendingRow | None
    captions: list[PendingRow]
    fields: dict[str, str] = field(default_factory=dict)
    pixels: NDArray[np.uint8] | None = None
    stale: list[str] = field(default_factory=list)

    def unencoded_captions(self) -> list[PendingRow]:
        """The captions that wait for a vector."""
        return [row for row in self.captions if row.embedding is None]

    def pending(self) -> list[PendingRow]:
        """The rows that must be written, the image's first."""
        return [*([self.image] if self.image is not None else []), *self.captions]

    def rows(self, modality: Modality) -> Iterator[Row]:
        """The finished rows of one collection."""
        pending = [self.image] if modality is Modality.IMAGE else self.captions
        for row in pending:
            if row is not None and row.embedding is not None:
                yield Row(
                    id=row.id,
                    item_id=self.item_id,
                    uri=self.uri,
                    content_hash=row.content_hash,
                    detail_hash=self.detail_hash,
                    embedding=row.embedding,
                    metadata=self.metadata,
                    caption=row.content if isinstance(row.content, str) else None,
                )


@dataclass(slots=True)
class Flow:
    """A batch between two stages: what goes on, and the account of what does not.

    read      how many items the source gave
    skipped   how many of them are stored already, unchanged in image and captions
    images    how many images were encoded, here or elsewhere
    captions  how many captions were encoded
    """

    items: list[Item] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    read: int = 0
    skipped: int = 0
    images: int = 0
    captions: int = 0

    def absorb(self, other: Flow) -> None:
        """Take over all of another flow."""
        self.items += other.items
        self.rejects += other.rejects
        self.read += other.read
        self.skipped += other.skipped
        self.images += other.images
        self.captions += other.captions


def regroup(flows: Iterable[Flow], size: int) -> Iterator[Flow]:
    """The same items in the same order, in flows of exactly `size` items, but for the last.

    Nothing of the account is lost, and none of it waits: a flow without an item left goes out
    at once when nothing is pending.
    """
    pending = Flow()
    for flow in flows:
        pending.absorb(flow)
        if not pending.items:
            yield pending
            pending = Flow()
        while len(pending.items) >= size:
            rest = pending.items[size:]
            pending.items = pending.items[:size]
            yield pending
            pending = Flow(rest)
    if pending.items or pending.rejects or pending.read:
        yield pending


def gather(flows: Iterable[Flow], items: int, size: int) -> Iterator[Flow]:
    """The same flows, joined until they have so many items, or files of so many bytes.

    No flow is cut: the last that is joined may exceed either bound.
    """
    pending, weight = Flow(), 0
    for flow in flows:
        pending.absorb(flow)
        weight += sum(len(item.image.content) for item in flow.items if item.image is not None)
        if len(pending.items) >= items or weight >= size:
            yield pending
            pending, weight = Flow(), 0
    if pending.items or pending.rejects or pending.read:
        yield pending
