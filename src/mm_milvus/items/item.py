"""One stored item, and what its rows hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mm_milvus.arrays import Vector


@dataclass(frozen=True, slots=True)
class StoredItem:
    """A stored item of a dataset.

    Attributes:
        item_id: Its name in the dataset.
        uri: Path or URL that the image was read from; empty for an item without an image.
        captions: Its captions, in their order.
        metadata: Its JSON object.
    """

    item_id: str
    uri: str
    captions: tuple[str, ...]
    metadata: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the item as JSON types."""
        return {
            "item_id": self.item_id,
            "uri": self.uri,
            "captions": [*self.captions],
            "metadata": self.metadata,
        }


@dataclass(frozen=True, slots=True)
class ItemRows:
    """An item with what else its rows hold.

    Attributes:
        item: The item.
        content_hash: The hash of the image file, 32 hex digits; empty without an image.
        image_embedding: float32 (dim,); None without an image, and where no vectors were read.
        caption_embeddings: One per caption, float32 (dim,); empty where no vectors were read.
    """

    item: StoredItem
    content_hash: str = ""
    image_embedding: Vector | None = None
    caption_embeddings: list[Vector] = field(default_factory=list)
