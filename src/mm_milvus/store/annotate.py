"""Facts that are found later, added to the metadata of items that are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mm_milvus.errors import ItemError
from mm_milvus.keys import image_key
from mm_milvus.limits import parse_metadata
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.read import stored_captions, stored_rows
from mm_milvus.store.rows import Row

ABSENT = "it is not in the data set: ingest it first"


def annotate(dataset: Dataset, facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Add facts to the metadata of items, in both collections; all else of their rows stays.

    facts  for each item_id, the keys and values to set; they fit into memory, with the vectors

    A later ingest leaves them as long as the item's own metadata does not change. Returns, for
    the items that did not take them, the reason. Raises StoreError.
    """
    refused = {}
    images = {row.item_id: row for row in stored_rows(dataset.images, [*map(image_key, facts)])}
    annotated = []
    for item_id, added in facts.items():
        if item_id not in images:
            refused[item_id] = ABSENT
            continue
        try:
            annotated.append(_with(images[item_id], added, dataset))
        except ItemError as error:
            refused[item_id] = str(error)
    captions = stored_captions(dataset.texts, [row.item_id for row in annotated])
    dataset.images.upsert(annotated, dataset.manifest.columns)
    dataset.texts.upsert(
        [_with(row, facts[item_id], dataset) for item_id, rows in captions.items() for row in rows],
        dataset.manifest.columns,
    )
    return refused


def _with(row: Row, added: Mapping[str, Any], dataset: Dataset) -> Row:
    """The row with more metadata, if the store would take it."""
    text = json.dumps({**row.metadata, **added}, ensure_ascii=False)
    return replace(row, metadata=parse_metadata(text, dataset.manifest.columns))
