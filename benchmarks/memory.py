"""Peak memory of an ingest in addition to its encoder, by number of items.

    python -m benchmarks.memory --uri http://localhost:19530 [--items 1000 10000 100000] [--json]

Each number runs in a process of its own. The items are JPEG files of 224 x 224 (64 different ones,
repeated under other names) with one caption each. Their vectors of 512 dimensions are copied from
the pixels, which takes no time: the pipeline is measured, with the queues, files, pixels and rows
of a real run. The peak is the resident memory minus that after importing, loading and a first
batch. Without --uri it includes the rows, because Milvus Lite keeps them in this process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.photos import caption, jpeg
from mm_milvus import ingest
from mm_milvus.encoders.base import EncoderSpec
from mm_milvus.images.decoding import load_pixels
from mm_milvus.images.preprocessing import Preprocessing
from mm_milvus.schema import ITEMS
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import drop_dataset, find_dataset

DIM, SIDE, DIFFERENT, BATCH = 512, 224, 64, 256
POLL_S = 0.01
DATASET, WARM = "mm_milvus_benchmark_memory", "mm_milvus_benchmark_memory_warm"


class PixelEncoder:
    """An encoder that takes no time: 512 pixels of an image, a ramp shifted by a text's length."""

    spec = EncoderSpec(
        id="made",
        fingerprint="0" * 16,
        dim=DIM,
        preprocessing=Preprocessing(SIDE, SIDE, None, "bicubic", (0.5,) * 3, (0.5,) * 3),
        max_tokens=77,
    )
    batch_size = 32

    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        """Return unit vectors (n, DIM)."""
        return unit(pixels.reshape(len(pixels), -1)[:, :DIM].astype(np.float32) + 1)

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Return unit vectors (n, DIM)."""
        return unit(np.stack([np.arange(DIM, dtype=np.float32) + len(text) for text in texts]))


class RepeatedSource:
    """A source of any number of items, made of a few different files."""

    name = "repeated"

    def __init__(self, size: int, side: int = SIDE) -> None:
        """Make the different files, `side` pixels square."""
        self.size = size
        self._files = [jpeg(number, (side, side)) for number in range(min(size, DIFFERENT))]
        self._captions = [caption(number) for number in range(len(self._files))]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all items in record batches."""
        for start in range(0, self.size, BATCH):
            numbers = range(start, min(start + BATCH, self.size))
            rows = [
                {
                    "item_id": f"{number:08d}.jpg",
                    "uri": f"/photos/{number:08d}.jpg",
                    "image": self._files[number % len(self._files)],
                    "captions": [self._captions[number % len(self._files)]],
                    "metadata": json.dumps({"number": number}),
                    "rejected": None,
                }
                for number in numbers
            ]
            yield pa.RecordBatch.from_pylist(rows, schema=ITEMS)


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to unit length."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def resident_mb() -> float:
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def peak_mb(call: Callable[[], object]) -> float:
    """Return by how many MB the memory of this process rises, at most, during a call."""
    before = peak = resident_mb()
    finished = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not finished.wait(POLL_S):
            peak = max(peak, resident_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        call()
    finally:
        finished.set()
        watcher.join()
    return max(peak, resident_mb()) - before


def measure(items: int, uri: str | None) -> dict[str, float]:
    """Measure the peak in MB and items per second, in this process."""
    encoder, source = PixelEncoder(), RepeatedSource(items)
    pixels = [load_pixels(jpeg(0, (SIDE, SIDE)), encoder.spec.preprocessing)] * encoder.batch_size
    encoder.encode_images(np.stack(pixels))
    with tempfile.TemporaryDirectory() as folder, chdir(folder):

        def run(source: RepeatedSource, name: str) -> None:
            report = ingest(source, dataset=name, store=uri or f"{folder}/store.db", model=encoder)
            if report.images != source.size or report.rejected:
                raise SystemExit(f"{report.images} of {source.size} images are stored")

        if uri:
            drop(uri)
        run(RepeatedSource(min(items, encoder.batch_size)), WARM)
        started = time.perf_counter()
        peak = peak_mb(lambda: run(source, DATASET))
        took = time.perf_counter() - started
        if uri:
            drop(uri)
        return {
            "items": items,
            "peak_memory_mb": round(peak, 1),
            "items_per_second": round(items / took),
        }


def drop(uri: str) -> None:
    """Drop the datasets from a server, including those of a failed run."""
    with Store(uri) as connection:
        for name in (DATASET, WARM):
            if find_dataset(connection, name):
                drop_dataset(name, connection)


def main() -> None:
    """Read the command line, measure each number in its own process, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--uri", help="a server's address; default: a new local file each")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if len(arguments.items) == 1:
        runs = [measure(arguments.items[0], arguments.uri)]
    else:
        base = [sys.executable, "-m", "benchmarks.memory", "--json"]
        base += ["--uri", arguments.uri] if arguments.uri else []
        runs = [
            json.loads(
                subprocess.run(
                    [*base, "--items", str(items)], check=True, stdout=subprocess.PIPE
                ).stdout
            )["runs"][0]
            for items in arguments.items
        ]
    if arguments.json:
        print(json.dumps({"runs": runs}))
        return
    print("| items | peak without the encoder, MB | items/s |\n|---|---|---|")
    for run in runs:
        print(f"| {run['items']:,} | {run['peak_memory_mb']:,.0f} | {run['items_per_second']:,} |")


if __name__ == "__main__":
    main()
