"""Add keys to the metadata of stored items."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mm_milvus.errors import ItemError
from mm_milvus.keys import image_key
from mm_milvus.limits import parse_metadata
from mm_milvus.store.columns import UnfitValues
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.read import stored_captions, stored_rows
from mm_milvus.store.rows import Row

ABSENT = "it is not in the dataset: ingest it first"


def annotate(dataset: Dataset, facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Set keys of items' metadata in both collections; the rest of their rows stays unchanged.

    A later ingest keeps the keys as long as the item's own metadata does not change.

    Args:
        dataset: An open dataset.
        facts: For each item_id, the keys and values to set. The rows of all of these items are
            held in memory, with their vectors.

    Returns:
        For each item that was not annotated, the reason.

    Raises:
        StoreError: When the engine refuses a call.
    """
    rejected = {}
    images = {row.item_id: row for row in stored_rows(dataset.images, [*map(image_key, facts)])}
    annotated = []
    for item_id, added in facts.items():
        if item_id not in images:
            rejected[item_id] = ABSENT
            continue
        try:
            annotated.append(_with(images[item_id], added))
        except ItemError as error:
            rejected[item_id] = str(error)
    unfit = UnfitValues()
    for row in annotated:
        unfit.add(row.metadata, dataset.manifest.columns, nullable=dataset.manifest.nullable)
    if unfit.families:
        dataset.with_unfit(unfit.families)
    captions = stored_captions(dataset.texts, [row.item_id for row in annotated])
    dataset.images.upsert(annotated, dataset.manifest.columns)
    dataset.texts.upsert(
        [_with(row, facts[item_id]) for item_id, rows in captions.items() for row in rows],
        dataset.manifest.columns,
    )
    return rejected


def _with(row: Row, added: Mapping[str, Any]) -> Row:
    """Return the row with more metadata; raise ItemError if no engine would take it."""
    text = json.dumps({**row.metadata, **added}, ensure_ascii=False)
    return replace(row, metadata=parse_metadata(text))
