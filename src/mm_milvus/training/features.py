"""Runs the towers over a source, once: their rows are kept, and a second run only reads them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from tqdm import tqdm

from mm_milvus.encoders.base import encode_distinct
from mm_milvus.encoders.torch.cpu import inference
from mm_milvus.encoders.torch.device import CPU_BATCH, GPU_BATCH, FittingBatches
from mm_milvus.encoders.torch.encoder import ImageTower
from mm_milvus.encoders.torch.text_input import token_count
from mm_milvus.encoders.trained.pair import Pair
from mm_milvus.errors import ImageError
from mm_milvus.images.preprocessing import Preprocessing
from mm_milvus.keys import content_hash
from mm_milvus.rejects import Reject
from mm_milvus.sources.base import Source
from mm_milvus.training.options import TrainOptions
from mm_milvus.training.pairs import Document, Pairs, PairsBuilder, read_documents
from mm_milvus.training.rows import RowCache, Rows
from mm_milvus.training.views import view_key, view_pixels

ROWS_A_FILE = 2048
AHEAD = 2
"""Batches of a source that are decoded ahead of the tower."""

ToRows = Callable[[Rows], Rows]
"""What is kept of pixels, uint8 (n, height, width, 3): rows (n, width)."""

Item = TypeVar("Item")
Decoded = dict[str, Rows]
Started = tuple[Document, Future[Decoded]] | Reject


@dataclass(slots=True)
class TrainingData:
    """The documents of a source whose rows are in the cache, and those turned away."""

    pairs: Pairs
    rejected: list[Reject] = field(default_factory=list)


class FrozenTowers:
    """The features of both towers of a pair, as float16: half the disk, and no worse to learn."""

    def __init__(self, pair: Pair, device: torch.device) -> None:
        """Device and type are the pair's."""
        self._pair = pair
        self._device = device
        self._images = ImageTower(pair.image, pair.preprocessing).to(device)
        cpu = device.type == "cpu"
        self._image_batches = FittingBatches(pair.cpu_piece if cpu else GPU_BATCH)
        self._text_batches = FittingBatches(CPU_BATCH if cpu else GPU_BATCH)

    @inference()
    def images(self, pixels: Rows) -> Rows:
        """Features (n, image dim) of uint8 pixels (n, height, width, 3)."""
        batches = self._image_batches.run(
            lambda rows: self._images.unnormalised(torch.from_numpy(pixels[rows]).to(self._device)),
            len(pixels),
        )
        return np.concatenate([result.half().cpu().numpy() for _, result in batches])

    @inference()
    def texts(self, texts: Sequence[str]) -> Rows:
        """Features (n, text dim) of texts."""
        return encode_distinct(texts, self._pair.text_input.tokenize, token_count, self._all_texts)

    def _all_texts(self, tokens: Sequence[dict[str, list[int]]]) -> Rows:
        batches = self._text_batches.run(lambda rows: self._texts(tokens[rows]), len(tokens))
        return np.concatenate([result for _, result in batches])

    def _texts(self, tokens: Sequence[dict[str, list[int]]]) -> Rows:
        batch = self._pair.text_input.pad(tokens)
        fields = {name: values.to(self._device) for name, values in batch.items()}
        rows: Rows = self._pair.text(**fields).half().cpu().numpy()
        return rows


def keep_texts(texts: Iterable[str], cache: RowCache, to_rows: Callable[[list[str]], Rows]) -> None:
    """Put the rows of texts that are not there yet into the cache, by the texts' hashes."""
    missing = [text for text in dict.fromkeys(texts) if content_hash(text) not in cache]
    for chunk in _chunks(missing, ROWS_A_FILE):
        cache.add([content_hash(text) for text in chunk], to_rows(list(chunk)))


def gather(
    source: Source,
    options: TrainOptions,
    views: int,
    preprocessing: Preprocessing,
    cache: RowCache,
    to_rows: ToRows,
    *,
    progress: bool,
) -> TrainingData:
    """Read a source, and put the rows of its images' views into the cache.

    Decoding runs ahead in threads while the tower works. Images that cannot be decoded are
    rejected with their documents; an image that many documents share is run once.
    """
    builder = PairsBuilder(options)
    gathered = TrainingData(builder.pairs)
    pending = _Pending(cache, to_rows)
    with (
        ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="mm-milvus-decode") as pool,
        tqdm(total=source.size, unit="img", disable=None if progress else True) as bar,
    ):

        def start(entry: Document | Reject) -> Started:
            if isinstance(entry, Reject):
                return entry
            keys = [view_key(entry.image_hash, view) for view in range(views)]
            missing = [key for key in keys if key not in cache]
            return entry, pool.submit(_decode, entry.image, missing, preprocessing)

        started = ([start(entry) for entry in batch] for batch in read_documents(source, options))
        for batch in _ahead(started, AHEAD):
            for entry in batch:
                if isinstance(entry, Reject):
                    gathered.rejected.append(entry)
                    continue
                document, decoding = entry
                try:
                    pending.add(decoding.result())
                except ImageError as error:
                    gathered.rejected.append(Reject(document.item_id, "decode", str(error)))
                    continue
                builder.add(document)
            bar.update(len(batch))
        pending.flush()
    return gathered


class _Pending:
    """Pixels on their way through the tower, and rows on their way to the cache."""

    def __init__(self, cache: RowCache, to_rows: ToRows) -> None:
        self._cache = cache
        self._to_rows = to_rows
        self._pixels: Decoded = {}
        self._rows: dict[str, Rows] = {}

    def add(self, decoded: Decoded) -> None:
        """Take the pixels of views, by key; runs the tower when there are enough for it."""
        self._pixels |= {key: rows for key, rows in decoded.items() if key not in self._rows}
        if len(self._pixels) >= GPU_BATCH:
            self._run()
        if len(self._rows) >= ROWS_A_FILE:
            self._write()

    def flush(self) -> None:
        """Finish what is on its way."""
        self._run()
        self._write()

    def _run(self) -> None:
        if self._pixels:
            rows = self._to_rows(np.stack(list(self._pixels.values())))
            self._rows |= dict(zip(self._pixels, rows, strict=True))
            self._pixels = {}

    def _write(self) -> None:
        new = {key: row for key, row in self._rows.items() if key not in self._cache}
        if new:
            self._cache.add(list(new), np.stack(list(new.values())))
        self._rows = {}


def _decode(data: bytes, keys: Sequence[str], preprocessing: Preprocessing) -> Decoded:
    return {key: view_pixels(data, key, preprocessing) for key in keys}


def _ahead(stream: Iterator[Item], count: int) -> Iterator[Item]:
    """The same items, so many of them taken from the stream before they are asked for."""
    waiting: deque[Item] = deque()
    for item in stream:
        waiting.append(item)
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
