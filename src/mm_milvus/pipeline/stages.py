"""The stages of an ingest, each an iterator over flows: read, plan, decode, encode."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from mm_milvus.encoders import Encoder
from mm_milvus.errors import ImageError, StoreError
from mm_milvus.images import Preprocessing, load_pixels
from mm_milvus.keys import caption_key, content_hash, image_key
from mm_milvus.pipeline.flow import Flow, Item, PendingRow, Reject, regroup
from mm_milvus.pipeline.prune import Seen
from mm_milvus.schema import Field
from mm_milvus.sources import Source
from mm_milvus.store import Collection, Dataset
from mm_milvus.store.rows import UNIT_LENGTH_TOLERANCE, check_text, parse_metadata


def read(
    source: Source, columns: Mapping[str, str], limit: int | None, halt: threading.Event
) -> Iterator[Flow]:
    """Items as the source gives them, checked against the limits of the store."""
    left = limit if limit is not None else float("inf")
    for batch in source.batches():
        if left <= 0 or halt.is_set():
            return
        records = batch.slice(0, min(left, batch.num_rows)) if left < batch.num_rows else batch
        left -= records.num_rows
        yield _accept(records, columns)


def _accept(batch: pa.RecordBatch, columns: Mapping[str, str]) -> Flow:
    flow = Flow(read=batch.num_rows)
    for record in batch.to_pylist():
        if record["rejected"] is not None:
            flow.rejects.append(Reject(record["item_id"], "read", record["rejected"]))
            continue
        try:
            item = _item(record, columns)
        except StoreError as error:
            flow.rejects.append(Reject(record["item_id"], "read", str(error)))
            continue
        flow.items.append(item)
        flow.rejects += _check_captions(item)
    return flow


def _item(record: dict[str, Any], columns: Mapping[str, str]) -> Item:
    item_id, uri, text, image = (record[key] for key in ("item_id", "uri", "metadata", "image"))
    check_text(Field.ITEM_ID, item_id)
    check_text(Field.URI, uri)
    metadata = parse_metadata(text, columns)
    return Item(
        item_id=item_id,
        uri=uri,
        metadata=metadata,
        detail_hash=content_hash(f"{uri}\0{text}"),
        image=PendingRow(image_key(item_id), image, content_hash(image)),
        captions=[PendingRow("", caption, content_hash(caption)) for caption in record["captions"]],
    )


def _check_captions(item: Item) -> Iterator[Reject]:
    kept: list[PendingRow] = []
    for number, row in enumerate(item.captions):
        try:
            check_text(Field.CAPTION, str(row.content))
        except StoreError as error:
            yield Reject(item.item_id, "read", f"caption {number}: {error}")
            continue
        row.id = caption_key(item.item_id, len(kept))
        kept.append(row)
    item.captions = kept


def plan(flows: Iterator[Flow], dataset: Dataset | None, seen: Seen | None) -> Iterator[Flow]:
    """Leave of each item only the rows that the store does not hold as they are.

    A row whose content is unchanged and whose details are not keeps its stored vector. `dataset`
    is None where nothing is stored yet; `seen` takes note of all ids, for pruning.
    """
    for flow in flows:
        if seen is not None:
            seen.note(flow)
        if dataset is not None:
            _compare(flow, dataset)
        yield flow


def _compare(flow: Flow, dataset: Dataset) -> None:
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
        rows = [*item.captions, *([item.image] if item.image else [])]
        if all(row.embedding is not None for row in rows) and not item.stale:
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
    vectors = collection.embeddings([row.id for row in moved])
    for row in moved:
        row.embedding = vectors.get(row.id)
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


def decode(flows: Iterator[Flow], preprocessing: Preprocessing, threads: int) -> Iterator[Flow]:
    """Turn the files of changed images into pixels; an item whose image is bad is rejected."""
    with ThreadPoolExecutor(threads, thread_name_prefix="mm-milvus-decode") as pool:
        for flow in flows:
            loaded = pool.map(lambda item: _load(item, preprocessing), flow.items)
            good = []
            for item, reason in zip(flow.items, loaded, strict=True):
                if reason is None:
                    good.append(item)
                else:
                    flow.rejects.append(Reject(item.item_id, "decode", reason))
            flow.items = good
            yield flow


def _load(item: Item, preprocessing: Preprocessing) -> str | None:
    """Set a changed image's pixels and let go of its file; or say why that cannot be."""
    row = item.image
    if row is None or row.embedding is not None or isinstance(row.content, str):
        return None
    try:
        item.pixels = load_pixels(row.content, preprocessing)
    except ImageError as error:
        return str(error)
    row.content = b""
    return None


def encode(
    flows: Iterator[Flow], encoder: Encoder, batch_size: int, halt: threading.Event
) -> Iterator[Flow]:
    """Give every row its vector; each distinct caption of a batch is encoded once."""
    for flow in regroup(flows, batch_size):
        _encode_images(flow, encoder)
        _encode_captions(flow, encoder)
        yield flow
        if halt.is_set():
            return


def estimate(flows: Iterator[Flow]) -> Iterator[Flow]:
    """In place of `encode`: count what it would have to do."""
    for flow in flows:
        flow.images = sum(item.pixels is not None for item in flow.items)
        flow.captions = sum(len(item.unencoded_captions()) for item in flow.items)
        yield flow


def _encode_images(flow: Flow, encoder: Encoder) -> None:
    items = [item for item in flow.items if item.pixels is not None]
    if not items:
        return
    pixels = [item.pixels for item in items if item.pixels is not None]
    vectors = encoder.encode_images(np.stack(pixels))
    for item, vector, good in zip(items, vectors, _are_unit(vectors), strict=True):
        item.pixels = None
        if good and item.image is not None:
            item.image.embedding = vector
            flow.images += 1
        else:
            flow.rejects.append(Reject(item.item_id, "encode", "its vector is not finite"))
            flow.items.remove(item)


def _encode_captions(flow: Flow, encoder: Encoder) -> None:
    rows = [row for item in flow.items for row in item.unencoded_captions()]
    if not rows:
        return
    distinct = list(dict.fromkeys(str(row.content) for row in rows))
    vectors = dict(zip(distinct, encoder.encode_texts(distinct), strict=True))
    for row in rows:
        row.embedding = vectors[str(row.content)]
    flow.captions += len(rows)


def _are_unit(vectors: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> list[bool]:
    norms = np.linalg.norm(vectors, axis=1)
    return [bool(near) for near in np.abs(norms - 1) < UNIT_LENGTH_TOLERANCE]
