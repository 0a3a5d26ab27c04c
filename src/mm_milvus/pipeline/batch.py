"""Batches of items between two pipeline stages, with counts of skipped and rejected items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

from mm_milvus.arrays import Pixels, Vector
from mm_milvus.rejects import Reject
from mm_milvus.schema import Modality

ItemT = TypeVar("ItemT")


@dataclass(slots=True)
class PendingRow:
    """A row on its way to the store: an image or a caption.

    Attributes:
        id: The primary key, 32 hex digits.
        content: The image file, or the caption.
        content_hash: The hash of the content, 32 hex digits.
        embedding: None until the content is encoded. It is set earlier where the vector is already
            stored, or was encoded elsewhere.
        is_new: Whether the content is new. False where the same content is stored and only its
            metadata changed, so that the stored vector is used again.
    """

    id: str
    content: bytes | str
    content_hash: str
    embedding: Vector | None = None
    is_new: bool = True


@dataclass(slots=True)
class Item:
    """An item with the rows that must be written; rows that are stored unchanged are left out.

    Attributes:
        metadata_text: The metadata as the source wrote it.
        fields: Texts of the item's document in addition to its image, by field.
        pixels: uint8 (height, width, 3) once the image is decoded.
        image: None for an item without an image.
        stale: By modality, keys of stored rows that the item no longer has.
    """

    item_id: str
    uri: str
    metadata: dict[str, Any]
    metadata_text: str
    detail_hash: str
    image: PendingRow | None
    captions: list[PendingRow]
    fields: dict[str, str] = field(default_factory=dict)
    pixels: Pixels | None = None
    stale: dict[Modality, list[str]] = field(default_factory=dict)

    def unencoded_captions(self) -> list[PendingRow]:
        """Return the captions without a vector."""
        return [row for row in self.captions if row.embedding is None]

    def rows(self) -> list[PendingRow]:
        """Return the rows that must be written, the image first."""
        return [*self.rows_of(Modality.IMAGE), *self.captions]

    def rows_of(self, modality: Modality) -> list[PendingRow]:
        """Return the rows that must be written to one collection."""
        if modality is Modality.TEXT:
            return self.captions
        return [self.image] if self.image is not None else []


@dataclass(slots=True)
class Batch(Generic[ItemT]):
    """A batch of items between two pipeline stages, with counts of skipped and rejected items.

    Attributes:
        items: The items for the next stage.
        rejects: The items, or parts of items, that were rejected so far.
        read: How many items of the source the batch stands for.
        skipped: How many of these are stored already, with the same image and captions.
        images: How many images are new; set by `stages.count_new`.
        captions: How many captions are new; set by `stages.count_new`.
    """

    items: list[ItemT] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    read: int = 0
    skipped: int = 0
    images: int = 0
    captions: int = 0

    def absorb(self, other: Self) -> None:
        """Add the items and the counts of another batch."""
        self.items += other.items
        self.rejects += other.rejects
        self.read += other.read
        self.skipped += other.skipped
        self.images += other.images
        self.captions += other.captions


def regroup(batches: Iterable[Batch[ItemT]], size: int) -> Iterator[Batch[ItemT]]:
    """Yield the same items in the same order, in batches of exactly `size`; the last may be less.

    No count is lost or delayed: a batch without items is passed on immediately when no items are
    pending.
    """
    pending: Batch[ItemT] = Batch()
    for batch in batches:
        pending.absorb(batch)
        if not pending.items:
            yield pending
            pending = Batch()
        while len(pending.items) >= size:
            rest = pending.items[size:]
            pending.items = pending.items[:size]
            yield pending
            pending = Batch(rest)
    if pending.items or pending.rejects or pending.read:
        yield pending


def gather(
    batches: Iterable[Batch[ItemT]], items: int, size: int, size_of: Callable[[ItemT], int]
) -> Iterator[Batch[ItemT]]:
    """Join batches until they hold `items` items or `size` bytes.

    No batch is split: the last one that is joined may exceed either bound.

    Args:
        batches: The batches to join.
        items: Number of items that ends a joined batch.
        size: Number of bytes that ends a joined batch.
        size_of: The bytes of an item.

    Yields:
        The joined batches, in order.
    """
    pending: Batch[ItemT] = Batch()
    weight = 0
    for batch in batches:
        pending.absorb(batch)
        weight += sum(map(size_of, batch.items))
        if len(pending.items) >= items or weight >= size:
            yield pending
            pending, weight = Batch(), 0
    if pending.items or pending.rejects or pending.read:
        yield pending
