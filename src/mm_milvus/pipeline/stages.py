"""The stages that decode and encode; `plan` stands before them, a sink after them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain

import numpy as np

from mm_milvus.arrays import Vector
from mm_milvus.choices import IMAGE_FIELD
from mm_milvus.concurrent import map_ahead
from mm_milvus.encoders.base import Encoder
from mm_milvus.errors import ImageError, ItemError
from mm_milvus.images.decoding import load_pixels
from mm_milvus.images.options import DEFAULTS, DecodeOptions
from mm_milvus.images.preprocessing import Preprocessing
from mm_milvus.limits import check_embedding
from mm_milvus.pipeline.batch import Batch, Item, regroup
from mm_milvus.pipeline.document import combine
from mm_milvus.pipeline.run import Stage
from mm_milvus.rejects import Reject

BATCHES_AHEAD = 2
"""Batches that are encoded in parallel: while one is tokenized, copied or nearly done, the device
works on the other."""


def encoding_stages(
    encoder: Encoder,
    *,
    decoding: DecodeOptions,
    document: Mapping[str, float],
    batch_size: int | None,
    interrupt: threading.Event,
) -> tuple[Stage, Stage]:
    """Return `decode` and `encode` as an encoder needs them.

    Args:
        encoder: Names the size of the pixels, and makes the vectors.
        decoding: How images are decoded.
        document: Weights of the fields of an item's vector; empty: its image alone.
        batch_size: Images per encoder call (default: chosen by the encoder).
        interrupt: Once it is set, batches that are not under way are dropped.
    """
    size = batch_size or encoder.batch_size
    return (
        partial(
            decode, preprocessing=encoder.spec.preprocessing, batch_size=size, options=decoding
        ),
        partial(encode, encoder=encoder, document=document, batch_size=size, interrupt=interrupt),
    )


def decode(
    batches: Iterator[Batch[Item]],
    preprocessing: Preprocessing,
    batch_size: int,
    options: DecodeOptions = DEFAULTS,
) -> Iterator[Batch[Item]]:
    """Decode the files of changed images to pixels; reject items whose image is broken.

    Pixels are larger than files: the batches are regrouped to `batch_size` items, so that only a
    few of these are in memory.
    """
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="mm-milvus-decode") as pool:
        for batch in regroup(batches, batch_size):
            reasons = pool.map(lambda item: _decode(item, preprocessing, options), batch.items)
            decoded = []
            for item, reason in zip(batch.items, reasons, strict=True):
                if reason is None:
                    decoded.append(item)
                else:
                    batch.rejects.append(Reject(item.item_id, "decode", reason))
            batch.items = decoded
            yield batch


def _decode(item: Item, preprocessing: Preprocessing, options: DecodeOptions) -> str | None:
    """Replace a changed image's file by its pixels; return the reason where that fails."""
    row = item.image
    if row is None or row.embedding is not None or isinstance(row.content, str):
        return None
    try:
        item.pixels = load_pixels(row.content, preprocessing, options=options)
    except ImageError as error:
        return str(error)
    row.content = b""
    return None


def encode(
    batches: Iterator[Batch[Item]],
    encoder: Encoder,
    document: Mapping[str, float],
    batch_size: int,
    interrupt: threading.Event,
) -> Iterator[Batch[Item]]:
    """Give every row its vector; each distinct text of a batch is encoded once.

    Args:
        batches: Decoded items.
        encoder: Its methods are called from two threads at a time.
        document: Weights of the fields of an item's vector; empty: its image alone.
        batch_size: Images per encoder call.
        interrupt: Once it is set, batches that are not under way are dropped.

    Yields:
        The items with their vectors. Items whose vectors cannot be stored are rejected.
    """

    def encoded(batch: Batch[Item]) -> Batch[Item]:
        texts = _encode_texts(batch, encoder)
        _encode_images(batch, encoder, document, texts)
        _reject_bad_vectors(batch, encoder.spec.dim)
        return batch

    with ThreadPoolExecutor(BATCHES_AHEAD, thread_name_prefix="mm-milvus-encode") as pool:
        whole = _until(interrupt, regroup(batches, batch_size))
        yield from map_ahead(pool, encoded, whole, BATCHES_AHEAD)


def count_new(batches: Iterator[Batch[Item]]) -> Iterator[Batch[Item]]:
    """Set how many images and captions of each batch are new, whether encoded here or not."""
    for batch in batches:
        batch.images = sum(item.image is not None and item.image.is_new for item in batch.items)
        batch.captions = sum(row.is_new for item in batch.items for row in item.captions)
        yield batch


def _until(interrupt: threading.Event, batches: Iterator[Batch[Item]]) -> Iterator[Batch[Item]]:
    """Yield batches until the interrupt is set; one that was taken is always passed on."""
    for batch in batches:
        yield batch
        if interrupt.is_set():
            return


def _encode_images(
    batch: Batch[Item],
    encoder: Encoder,
    document: Mapping[str, float],
    texts: Mapping[str, Vector],
) -> None:
    items = [item for item in batch.items if item.pixels is not None]
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


def _encode_texts(batch: Batch[Item], encoder: Encoder) -> Mapping[str, Vector]:
    """Give captions their vectors; return the vectors of all texts, those of fields as well."""
    rows = [row for item in batch.items for row in item.unencoded_captions()]
    fields = [item.fields.values() for item in batch.items if item.pixels is not None]
    distinct = list(dict.fromkeys(chain((str(row.content) for row in rows), *fields)))
    if not distinct:
        return {}
    vectors = dict(zip(distinct, encoder.encode_texts(distinct), strict=True))
    for row in rows:
        row.embedding = vectors[str(row.content)]
    return vectors


def _reject_bad_vectors(batch: Batch[Item], dim: int) -> None:
    """Reject the items whose vectors cannot be stored: not finite, or not of unit length."""
    storable = []
    for item in batch.items:
        try:
            for row in item.rows():
                if row.embedding is not None:
                    check_embedding(row.embedding, dim)
        except ItemError as error:
            batch.rejects.append(Reject(item.item_id, "encode", str(error)))
            continue
        storable.append(item)
    batch.items = storable
