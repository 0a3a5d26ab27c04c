"""Peak memory of an ingest beside its encoder, by the number of items.

    python -m benchmarks.memory --uri http://localhost:19530 [--items 1000 10000 100000] [--json]

Each number runs in a process of its own. The items are JPEG files of 224 x 224 (64 different
ones, over and over, each time another item), with a caption each, and their vectors of 512
numbers are made from the pixels in no time: what is measured is the pipeline, with the queues,
files, pixels and rows of a real run. The peak is that of the resident memory, less what there is
after importing, loading and a first batch. Without --uri it has the rows themselves in it: Milvus
Lite keeps them in this process.
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
from mm_milvus.images.decode import load_pixels
from mm_milvus.images.preprocessing import Preprocessing
from mm_milvus.schema import ITEMS
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import drop_dataset, find_dataset

DIM, SIDE, DIFFERENT, BATCH = 512, 224, 64, 256
POLL_S = 0.01
DATASET, WARM = "mm_milvus_benchmark_memory", "mm_milvus_benchmark_memory_warm"


class Made:
    """An encoder that takes no time: 512 of an image's pixels, or noise of a text's length."""

    spec = EncoderSpec(
        id="made",
        fingerprint="0" * 16,
        dim=DIM,
        preprocessing=Preprocessing(SIDE, SIDE, None, "bicubic", (0.5,) * 3, (0.5,) * 3),
        max_tokens=77,
    )
    batch_size = 32

    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        """Unit rows (n, DIM)."""
        return unit(pixels.reshape(len(pixels), -1)[:, :DIM].astype(np.float32) + 1)

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Unit rows (n, DIM)."""
        return unit(np.stack([np.arange(DIM, dtype=np.float32) + len(text) for text in texts]))


class Repeated:
    """A source of as many items as one likes."""

    name = "repeated"

    def __init__(self, size: int, side: int = SIDE) -> None:
        """Make the different files: squares."""
        self.size = size
        self._files = [jpeg(number, (side, side)) for number in range(min(size, DIFFERENT))]
        self._captions = [caption(number) for number in range(len(self._files))]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All items."""
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
    """Rows of length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def resident_mb() -> float:
    """The memory of this process that is in use now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def peak_mb(call: Callable[[], object]) -> float:
    """By how many MB the memory of this process rises, at most, while the call runs."""
    before = peak = resident_mb()
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(POLL_S):
            peak = max(peak, resident_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        call()
    finally:
        over.set()
        watcher.join()
    return max(peak, resident_mb()) - before


def measure(items: int, uri: str | None) -> dict[str, float]:
    """The peak in MB, and items a second, in this process."""
    encoder, source = Made(), Repeated(items)
    pixels = [load_pixels(jpeg(0, (SIDE, SIDE)), encoder.spec.preprocessing)] * encoder.batch_size
    encoder.encode_images(np.stack(pixels))
    with tempfile.TemporaryDirectory() as folder, chdir(folder):

        def run(source: Repeated, name: str) -> None:
            report = ingest(source, dataset=name, store=uri or f"{folder}/store.db", model=encoder)
            if report.images != source.size or report.rejected:
                raise SystemExit(f"{report.images} of {source.size} images are stored")

        if uri:
            drop(uri)
        run(Repeated(min(items, encoder.batch_size)), WARM)
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
    """Leave nothing on a server, nor what a run that failed has left."""
    with Store(uri) as connection:
        for name in (DATASET, WARM):
            if find_dataset(connection, name):
                drop_dataset(connection, name)


def main() -> None:
    """Read the command line, measure each number in a process of its own, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--uri", help="a server's address; default: a fresh local file each")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if len(arguments.items) == 1:
        found = [measure(arguments.items[0], arguments.uri)]
    else:
        base = [sys.executable, "-m", "benchmarks.memory", "--json"]
        base += ["--uri", arguments.uri] if arguments.uri else []
        found = [
            json.loads(
                subprocess.run(
                    [*base, "--items", str(items)], check=True, stdout=subprocess.PIPE
                ).stdout
            )["runs"][0]
            for items in arguments.items
        ]
    if arguments.json:
        print(json.dumps({"runs": found}))
        return
    print("| items | peak beside the encoder, MB | items/s |\n|---|---|---|")
    for each in found:
        print(
            f"| {each['items']:,} | {each['peak_memory_mb']:,.0f} | {each['items_per_second']:,} |"
        )


if __name__ == "__main__":
    main()
