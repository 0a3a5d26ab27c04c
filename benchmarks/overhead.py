"""Cost of an item in addition to its encoder, which bounds an ingest on the fastest GPU.

    python -m benchmarks.overhead --uri http://localhost:19530 [--items 10000] [--rounds 3] [--json]

A folder of JPEG files of 32 x 32, which are decoded in no time, with one caption each, is ingested
with an encoder that takes no time. Interleaved with it, the minimum that any program must do: read
each file and upsert the same rows with pymilvus. The figure is the processor time of this process
in microseconds per item: it does not depend on other programs, and excludes the work of a server.
Without --uri it includes the engine, because Milvus Lite runs in this process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

from benchmarks.figures import show
from benchmarks.memory import PixelEncoder
from benchmarks.photos import write_captioned
from mm_milvus import ingest
from mm_milvus.sources.base import Source
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import Dataset, drop_dataset, open_dataset
from mm_milvus.store.read import stored_rows

DATASET, SIDE, UPSERTED = "mm_milvus_benchmark_overhead", 32, 256


class SmallPixelEncoder(PixelEncoder):
    """An encoder of small pictures that takes no time."""

    spec = replace(
        PixelEncoder.spec,
        preprocessing=replace(PixelEncoder.spec.preprocessing, height=SIDE, width=SIDE),
    )
    batch_size = UPSERTED


def measure(folder: Path, items: int, rounds: int, uri: str) -> dict[str, float]:
    """Measure microseconds per item, the best of the rounds, and items per second."""
    photos = write_captioned(folder / "photos", items, (SIDE, SIDE))
    source = open_source(photos, SourceOptions())
    whole, minimum, rate = [], [], 0.0
    for _ in range(rounds):
        started = time.perf_counter()
        whole.append(processor_s(lambda: run(source, uri)))
        rate = max(rate, items / (time.perf_counter() - started))
        with Store(uri) as connection:
            minimum.append(processor_s(bare(photos, open_dataset(connection, DATASET))))
            drop_dataset(DATASET, connection)
    return {
        "microseconds_per_item": round(1e6 * min(whole) / items, 1),
        "least_microseconds_per_item": round(1e6 * min(minimum) / items, 1),
        "ratio_to_least": round(min(whole) / min(minimum), 2),
        "items_per_second": round(rate, 1),
    }


def run(source: Source, uri: str) -> None:
    """Ingest, and check that everything was stored."""
    report = ingest(source, dataset=DATASET, store=uri, model=SmallPixelEncoder())
    if report.images != source.size or report.rejected:
        raise SystemExit(f"{report.images} of {source.size} images are stored")


def bare(photos: Path, dataset: Dataset) -> Callable[[], None]:
    """Return a call that reads the files and upserts the rows; the rows are prepared here."""
    paths = sorted(photos.glob("*.jpg"))
    prepared = []
    for collection in dataset.collections:
        ids = [key for batch in collection.scan() for key, _ in batch]
        rows = [row.to_milvus({}, nullable=True) for row in stored_rows(collection, ids)]
        prepared.append((collection, rows))

    def write() -> None:
        for path in paths:
            path.read_bytes()
        for collection, rows in prepared:
            for start in range(0, len(rows), UPSERTED):
                collection.client.upsert(collection.name, rows[start : start + UPSERTED])

    return write


def processor_s(call: Callable[[], object]) -> float:
    """Return the processor time of a call in seconds, over all threads of this process."""
    started = time.process_time()
    call()
    return time.process_time() - started


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", help="a server's address; default: a new local file")
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, chdir(temporary):
        uri = options.uri or f"{temporary}/store.db"
        figures = measure(Path(temporary), options.items, options.rounds, uri)
    show(figures, as_json=options.json)


if __name__ == "__main__":
    main()
