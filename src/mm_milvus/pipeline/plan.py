"""What is there already, and what is left to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from mm_milvus.embeddings import Former, Known, signature
from mm_milvus.keys import caption_key
from mm_milvus.pipeline.flow import Flow, Item, PendingRow, gather
from mm_milvus.pipeline.prune import Seen
from mm_milvus.store import Collection, Dataset

COMPARED_ITEMS = 1000
COMPARED_BYTES = 16 * 2**20

Compare = Callable[[Flow], None]
"""Leaves of a flow only what must be written, with the vectors that are there already."""


def plan(flows: Iterator[Flow], compare: Compare | None, seen: Seen | None) -> Iterator[Flow]:
    """Leave of each flow what is not there as it is.

    `compare` is None where nothing is there yet; `seen` takes note of all ids, for pruning.
    What is there is asked for many items at once: a call of the store has a cost of its own.
    """
    if compare is not None:
        flows = gather(flows, COMPARED_ITEMS, COMPARED_BYTES)
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
    images = [(item, item.image) for item in flow.items if item.image is not None]
    captions = [(item, row) for item in flow.items for row in item.captions]
    # Captions are numbered without gaps: the number after the last is stored only if stale.
    ends = {caption_key(item.item_id, len(item.captions)): item for item in flow.items}
    with ThreadPoolExecutor(1) as other:
        of_images = other.submit(dataset.images.hashes, [row.id for _, row in images])
        of_texts = dataset.texts.hashes([*(row.id for _, row in captions), *ends])
        kept_images = _changed(dataset.images, images, of_images.result())
    for item in flow.items:
        if item.image is not None and item.image.id not in kept_images:
            item.image = None
    kept_captions = _changed(dataset.texts, captions, of_texts)
    _find_stale({key: ends[key] for key in ends.keys() & of_texts.keys()}, dataset.texts)
    changed = []
    for item in flow.items:
        item.captions = [row for row in item.captions if row.id in kept_captions]
        rows = item.pending()
        if not item.stale and not any(row.fresh for row in rows):
            flow.skipped += 1
        if rows or item.stale:
            changed.append(item)
    flow.items = changed


def _changed(
    collection: Collection,
    rows: list[tuple[Item, PendingRow]],
    stored: Mapping[str, tuple[str, str]],
) -> set[str]:
    """The ids of the rows to write; a row whose details alone changed gets its stored vector.

    stored  of the ids that the collection has: their content hash and detail hash
    """
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


def _find_stale(found: Mapping[str, Item], texts: Collection) -> None:
    """Give each item the ids of the stored captions that follow its last; `found` has the first."""
    counts = {item.item_id: len(item.captions) for item in found.values()}
    while found:
        following = {}
        for key, item in found.items():
            item.stale.append(key)
            counts[item.item_id] += 1
            following[caption_key(item.item_id, counts[item.item_id])] = item
        there = texts.hashes(list(following))
        found = {key: following[key] for key in there}


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
