"""What is shown of an item, read for the hits alone: where its image is, metadata, a caption."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from mm_milvus.keys import image_key
from mm_milvus.schema import Field
from mm_milvus.search.candidates import in_parallel
from mm_milvus.search.lists import KnownRows
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
    dataset: Dataset, wanted: Iterable[Wanted], known: KnownRows, pool: ThreadPoolExecutor
) -> dict[Wanted, Details]:
    """Return what is shown of some items.

    Args:
        dataset: The dataset.
        wanted: The items.
        known: Fields of rows that have been read already.
        pool: Runs the reads.

    Returns:
        The details of the items; without those that were deleted since they were found.
    """
    keys = {each: image_key(each[0]) for each in wanted}
    rows = {each: known.get(key, {}) | known.get(each[1] or "", {}) for each, key in keys.items()}
    images = [keys[each] for each, row in rows.items() if Field.URI not in row]
    captions = [each[1] for each, row in rows.items() if each[1] and Field.CAPTION not in row]
    read = in_parallel(
        pool,
        [
            partial(dataset.images.by_id, images, [Field.URI, Field.METADATA]),
            partial(dataset.texts.by_id, captions, [Field.CAPTION]),
        ],
    )
    for each, row in rows.items():
        for by_key, key in zip(read, (keys[each], each[1]), strict=True):
            row |= by_key.get(key or "", {})
    without_image = [each[1] for each, row in rows.items() if each[1] and Field.URI not in row]
    others = dataset.texts.by_id(without_image, [Field.URI, Field.METADATA])
    details = {}
    for each, row in rows.items():
        row |= others.get(each[1] or "", {})
        if Field.URI in row:
            caption = row.get(Field.CAPTION)
            details[each] = Details(row[Field.URI], row[Field.METADATA], caption)
    return details
