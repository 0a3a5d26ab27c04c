"""What is there already, and what is left to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mm_milvus.embeddings import Former, Known, signature
from mm_milvus.keys import caption_key
from mm_milvus.pipeline.flow import Flow, Item, PendingRow
from mm_milvus.pipeline.prune import Seen
from mm_milvus.store import Collection, Dataset

Compare = Callable[[Flow], None]
"""Leaves of a flow only what must be written, with the vectors that are there already."""


def plan(flows: Iterator[Flow], compare: Compare | None, seen: Seen | None) -> Iterator[Flow]:
    """Leave of each flow what is not there as it is.

    `compare` is None where nothing is there yet; `seen` takes note of all ids, for pruning.
    """
    for flow in flows:
        if seen is not None:
            seen.note(flow)
        if compare is not None:
            compare(flow)
        yield flow


def compare_with_store(flow: Flow, dataset: Dataset) -> None:
    """Leave of each item only the rows that the store does not hold as they are.

    A row whose content is unchanged and whose details are not keeps its stored vector.
    """
    kept_images = _changed(
        dataset.images, [(item, item.image) for item in flow.items if item.image is not None]
    )
    for item in flow.items:
        if item.image is not None and item.image.id not in kept_images:
            item.image = None
    kept_captions = _changed(
        dataset.texts, [(item, row) for item in flow.items for row in item.captions]
    )
    _find_stale(flow.items, dataset.texts)
    changed = []
    for item in flow.items:
        item.captions = [row for row in item.captions if row.id in kept_captions]
        rows = item.pending()
        if not item.stale and not any(row.fresh for row in rows):
            flow.skipped += 1
        if rows or item.stale:
            changed.append(item)
    flow.items = changed


def _changed(collection: Collection, rows: list[tuple[Item, PendingRow]]) -> set[str]:
    """The ids of the rows to write; a row whose details alone changed gets its stored vector."""
    stored = collection.hashes([row.id for _, row in rows])
    changed, moved = set(), []
    for item, row in rows:
        if stored.get(row.id) == (row.content_hash, item.detail_hash):
            continue
        changed.add(row.id)
        if row.id in stored and stored[row.id][0] == row.content_hash:
            moved.append(row)
    vectors = collection.embeddings([row.id for row in moved if row.embedding is None])
    for row in moved:
        if row.embedding is None:
            row.embedding = vectors.get(row.id)
        row.fresh = row.embedding is None
    return changed


def _find_stale(items: list[Item], texts: Collection) -> None:
    """Captions are numbered without gaps: the number after the last is stored only if stale."""
    probes = {caption_key(item.item_id, len(item.captions)): item for item in items}
    counts = {item.item_id: len(item.captions) for item in items}
    while probes:
        found = texts.hashes(list(probes))
        following = {}
        for key in found:
            item = probes[key]
            item.stale.append(key)
            counts[item.item_id] += 1
            following[caption_key(item.item_id, counts[item.item_id])] = item
        probes = following


def compare_with_parts(flow: Flow, known: Known) -> None:
    """Leave the items that a folder of embeddings does not hold as they are, each one whole.

    Of those that it holds in another version, the vectors of unchanged content are taken over.
    """
    changed = []
    rows = known.find([item.item_id for item in flow.items])
    for item, row in zip(flow.items, rows, strict=True):
        if row is None:
            changed.append(item)
        elif known.signature(row) == _signature(item):
            flow.skipped += 1
        else:
            former = known.former(row)
            _take_over(item, former)
            if len(item.captions) == former.count and not any(p.fresh for p in item.pending()):
                flow.skipped += 1
            changed.append(item)
    flow.items = changed


def _signature(item: Item) -> str:
    image_hash = item.image.content_hash if item.image is not None else ""
    captions = [str(row.content) for row in item.captions]
    return signature(item.uri, image_hash, captions, item.metadata_text)


def _take_over(item: Item, former: Former) -> None:
    if item.image is not None and item.image.content_hash == former.content_hash:
        item.image.embedding, item.image.fresh = former.image_embedding, False
    for row in item.captions:
        vector = former.captions.get(str(row.content))
        if vector is not None:
            row.embedding, row.fresh = vector, False
