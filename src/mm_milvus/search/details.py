"""What is shown of an item, read for the hits alone: where its image is, metadata, a caption."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from mm_milvus.keys import image_key
from mm_milvus.schema import Field
from mm_milvus.search.candidates import in_parallel
from mm_milvus.store.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Details:
    """What is shown of an item.

    Attributes:
        uri: Path or URL that its image was read from; empty for an item without an image.
        metadata: Its JSON object.
        caption: The caption that was asked for; None for none.
    """

    uri: str
    metadata: dict[str, Any]
    caption: str | None


Wanted = tuple[str, str | None]
"""An item_id, and the primary key of the caption to show; None for none."""


def read_details(
    dataset: Dataset, wanted: Collection[Wanted], pool: ThreadPoolExecutor
) -> dict[Wanted, Details]:
    """Return what is shown of some items.

    Items that were deleted since they were found are left out.
    """
    ids = {item_id: image_key(item_id) for item_id, _ in wanted}
    captions = list({caption for _, caption in wanted if caption is not None})
    images, texts = in_parallel(
        pool,
        [
            partial(_rows, dataset.images.get, list(ids.values()), [Field.URI, Field.METADATA]),
            partial(_rows, dataset.texts.get, captions, [Field.CAPTION]),
        ],
    )
    without_image = [
        caption
        for item_id, caption in wanted
        if caption is not None and ids[item_id] not in images and caption in texts
    ]
    others = _rows(dataset.texts.get, without_image, [Field.URI, Field.METADATA])
    details = {}
    for item_id, caption in wanted:
        row = images.get(ids[item_id]) or others.get(caption or "")
        if row is not None:
            text = texts.get(caption or "", {}).get(Field.CAPTION)
            details[item_id, caption] = Details(row[Field.URI], row[Field.METADATA], text)
    return details


def _rows(get: Any, ids: Sequence[str], fields: Sequence[Field]) -> dict[str, dict[str, Any]]:
    return {row[Field.ID]: row for row in get(ids, fields)} if ids else {}
