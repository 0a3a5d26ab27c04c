"""The rows of a source's images and texts, computed once: a second run only reads them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import numpy as np

from mm_milvus.arrays import Pixels
from mm_milvus.choices import ProgressMode
from mm_milvus.encoders.torch.device import GPU_BATCH
from mm_milvus.errors import ImageError
from mm_milvus.images.options import DEFAULTS, DecodeOptions
from mm_milvus.images.preprocessing import Preprocessing
from mm_milvus.keys import content_hash
from mm_milvus.pipeline.batch import Batch, gather, regroup
from mm_milvus.pipeline.report import Report
from mm_milvus.pipeline.run import run
from mm_milvus.rejects import Reject, RejectsFile
from mm_milvus.sources.base import Source
from mm_milvus.sources.opened import decoding_of
from mm_milvus.training.documents import Document, accept_documents
from mm_milvus.training.options import TrainOptions
from mm_milvus.training.pairs import Pairs, PairsBuilder
from mm_milvus.training.row_cache import RowCache, Rows
from mm_milvus.training.views import view_key, view_pixels

ROWS_PER_FILE = 2048

DOCUMENTS_PER_CALL = 1024
"""Documents after which the tower runs, and progress is shown, however few of their views are new:
most images of a dataset may be cached, or be shared by many documents."""

ImageRows = Callable[[Pixels], Rows]
"""Turns pixels, uint8 (n, height, width, 3), into the rows that are kept of them, (n, width)."""


def read_pairs(
    source: Source,
    options: TrainOptions,
    views: int,
    preprocessing: Preprocessing,
    cache: RowCache,
    image_rows: ImageRows,
    *,
    report: Report,
    rejects: RejectsFile,
    progress: ProgressMode | bool,
) -> Pairs:
    """Read a source, and write the rows of its images' views to the cache.

    Only views that are not in the cache are decoded, each once, however many documents share the
    image. Documents whose image cannot be decoded are rejected.

    Args:
        source: Items with captions.
        options: Name the fields and the relevance of documents.
        views: Views per image.
        preprocessing: Size of the decoded views.
        cache: Receives the rows, by `view_key`.
        image_rows: Makes rows of pixels.
        report: Counts, filled in.
        rejects: Receives the rejected items.
        progress: How to show progress on stderr.

    Returns:
        The documents, in the order of the source.
    """
    builder = PairsBuilder(options)
    with closing(RowWriter(cache)) as writer:

        def sink(batch: Batch[Document]) -> None:
            for document in batch.items:
                writer.write(document.rows)
                builder.add(document)

        run(
            source,
            [
                partial(accept_documents, options=options, decoding=decoding_of(source)),
                partial(
                    decode_views,
                    views=views,
                    preprocessing=preprocessing,
                    cache=cache,
                    options=decoding_of(source),
                ),
                partial(compute_rows, image_rows=image_rows),
            ],
            sink,
            report=report,
            rejects=rejects,
            interrupt=threading.Event(),
            progress=progress,
        )
    return builder.pairs


def decode_views(
    batches: Iterator[Batch[Document]],
    views: int,
    preprocessing: Preprocessing,
    cache: RowCache,
    options: DecodeOptions = DEFAULTS,
) -> Iterator[Batch[Document]]:
    """Decode the views that are not in the cache; reject documents whose image is broken.

    Pixels are larger than files: the batches are regrouped to about `GPU_BATCH` views, so that
    only a few of these are in memory.
    """
    reasons: dict[str, str | None] = {}  # of every image so far: why it is broken, or None
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="mm-milvus-decode") as pool:
        for batch in regroup(batches, max(1, GPU_BATCH // views)):
            new: dict[str, Document] = {}
            for document in batch.items:
                if document.image_hash not in reasons:
                    new.setdefault(document.image_hash, document)
            decode = partial(
                _decode, views=views, preprocessing=preprocessing, cache=cache, options=options
            )
            reasons |= zip(new, pool.map(decode, new.values()), strict=True)
            decoded = []
            for document in batch.items:
                document.image = b""
                if (reason := reasons[document.image_hash]) is None:
                    decoded.append(document)
                else:
                    batch.rejects.append(Reject(document.item_id, "decode", reason))
            batch.items = decoded
            yield batch


def _decode(
    document: Document,
    views: int,
    preprocessing: Preprocessing,
    cache: RowCache,
    options: DecodeOptions,
) -> str | None:
    """Set the pixels of a document's views; return the reason where that fails."""
    keys = [view_key(document.image_hash, view) for view in range(views)]
    try:
        document.rows = {
            key: view_pixels(document.image, key, preprocessing, options)
            for key in keys
            if key not in cache
        }
    except ImageError as error:
        return str(error)
    return None


def compute_rows(
    batches: Iterator[Batch[Document]], image_rows: ImageRows
) -> Iterator[Batch[Document]]:
    """Replace the pixels of views by their rows, with about `GPU_BATCH` views per call."""
    for batch in gather(
        batches, DOCUMENTS_PER_CALL, GPU_BATCH, lambda document: len(document.rows)
    ):
        pixels = [view for document in batch.items for view in document.rows.values()]
        if pixels:
            rows = iter(image_rows(np.stack(pixels)))
            for document in batch.items:
                document.rows = dict(zip(document.rows, rows, strict=False))
        yield batch


class RowWriter:
    """Collects rows, and writes them to a cache in files of `ROWS_PER_FILE` rows or slightly more.

    Rows that are pending are written on `close`: whatever ends a run, they are kept.
    """

    def __init__(self, cache: RowCache) -> None:
        """Write to a cache."""
        self._cache = cache
        self._pending: dict[str, Rows] = {}

    def write(self, rows: dict[str, Rows]) -> None:
        """Add rows by key. Raises OutputError."""
        self._pending |= rows
        if len(self._pending) >= ROWS_PER_FILE:
            self.close()

    def close(self) -> None:
        """Write what is pending. Raises OutputError."""
        pending, self._pending = self._pending, {}
        if pending:
            self._cache.add(list(pending), np.stack(list(pending.values())))


def cache_texts(
    texts: Iterable[str], cache: RowCache, text_rows: Callable[[list[str]], Rows]
) -> None:
    """Write the rows of texts that are not in the cache yet, by their `content_hash`."""
    missing = [text for text in dict.fromkeys(texts) if content_hash(text) not in cache]
    for start in range(0, len(missing), ROWS_PER_FILE):
        part = missing[start : start + ROWS_PER_FILE]
        cache.add([content_hash(text) for text in part], text_rows(part))
