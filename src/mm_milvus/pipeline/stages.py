"""The stages, each an iterator over flows: read, decode, encode; `plan` stands in between."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain

import numpy as np
import pyarrow as pa

from mm_milvus.encoders import Encoder
from mm_milvus.encoders.base import Vectors
from mm_milvus.errors import ImageError, StoreError
from mm_milvus.images import Preprocessing, load_pixels
from mm_milvus.pipeline.document import combine
from mm_milvus.pipeline.flow import Flow, Item, regroup
from mm_milvus.rejects import Reject
from mm_milvus.schema import IMAGE_FIELD
from mm_milvus.store.rows import check_embedding

ENCODED_AT_ONCE = 2


def read(
    batches: Iterator[pa.RecordBatch],
    accept: Callable[[pa.RecordBatch], Flow],
    limit: int | None,
    halt: threading.Event,
) -> Iterator[Flow]:
    """Items as they come, checked against the limits of the store."""
    left = limit if limit is not None else float("inf")
    for batch in batches:
        if left <= 0 or halt.is_set():
            return
        records = batch.slice(0, min(left, batch.num_rows)) if left < batch.num_rows else batch
        left -= records.num_rows
        yield accept(records)


def decode(flows: Iterator[Flow], preprocessing: Preprocessing, batch_size: int) -> Iterator[Flow]:
    """Turn the files of changed images into pixels; an item whose image is bad is rejected.

    Pixels are larger than files: so few are made at a time that only some batches wait.
    """
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="mm-milvus-decode") as pool:
        for flow in regroup(flows, batch_size):
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
    flows: Iterator[Flow],
    encoder: Encoder,
    document: Mapping[str, float],
    batch_size: int,
    halt: threading.Event,
) -> Iterator[Flow]:
    """Give every row its vector; each distinct text of a batch is encoded once.

    Two batches are encoded at a time: while one is tokenized, copied or nearly done, the device
    works on the other.
    """

    def encoded(flow: Flow) -> Flow:
        texts = _encode_texts(flow, encoder)
        _encode_images(flow, encoder, document, texts)
        _check(flow, encoder.spec.dim)
        return flow

    pending: deque[Future[Flow]] = deque()
    with ThreadPoolExecutor(ENCODED_AT_ONCE, thread_name_prefix="mm-milvus-encode") as pool:
        for flow in regroup(flows, batch_size):
            pending.append(pool.submit(encoded, flow))
            if len(pending) == ENCODED_AT_ONCE:
                yield pending.popleft().result()
            if halt.is_set():
                break
        while pending:
            yield pending.popleft().result()


def count(flows: Iterator[Flow]) -> Iterator[Flow]:
    """Tell how many images and captions are new, encoded or not."""
    for flow in flows:
        flow.images = sum(item.image is not None and item.image.fresh for item in flow.items)
        flow.captions = sum(row.fresh for item in flow.items for row in item.captions)
        yield flow


def _encode_images(
    flow: Flow, encoder: Encoder, document: Mapping[str, float], texts: Mapping[str, Vectors]
) -> None:
    items = [item for item in flow.items if item.pixels is not None]
    if not items:
        return
    pixels = [item.pixels for item in items if item.pixels is not None]
    for item, vector in zip(items, encoder.encode_images(np.stack(pixels)), strict=True):
        item.pixels = None
        if item.image is not None:
            fields = {name: texts[text] for name, text in item.fields.items()}
            if not document or IMAGE_FIELD in document:
                fields[IMAGE_FIELD] = vector
            item.image.embedding = combine(fields, document) if document else vector


def _encode_texts(flow: Flow, encoder: Encoder) -> Mapping[str, Vectors]:
    """Give captions their vectors; returns those of all texts, of documents' fields as well."""
    rows = [row for item in flow.items for row in item.unencoded_captions()]
    fields = [item.fields.values() for item in flow.items if item.pixels is not None]
    distinct = list(dict.fromkeys(chain((str(row.content) for row in rows), *fields)))
    if not distinct:
        return {}
    vectors = dict(zip(distinct, encoder.encode_texts(distinct), strict=True))
    for row in rows:
        row.embedding = vectors[str(row.content)]
    return vectors


def _check(flow: Flow, dim: int) -> None:
    """Reject the items whose vectors cannot be stored."""
    good = []
    for item in flow.items:
        try:
            for row in item.pending():
                if row.embedding is not None:
                    check_embedding(row.embedding, dim)
        except StoreError as error:
            flow.rejects.append(Reject(item.item_id, "encode", str(error)))
            continue
        good.append(item)
    flow.items = good
