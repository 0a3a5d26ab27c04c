"""What an item costs beside its encoder: the ceiling of an ingest on the fastest GPU.

    python -m benchmarks.overhead --uri http://localhost:19530 [--items 10000] [--rounds 3] [--json]

A folder of JPEG files of 32 x 32, which are decoded in no time, with a caption each, goes through
an ingest whose encoder takes no time. In turns with it, the least that any program must do: read
each file and upsert the same rows with pymilvus. Told is the processor time of this process, in
microseconds an item: it is the same on a busy machine, and a server's own work is not in it.
Without --uri it is: Milvus Lite works in this process.
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
from benchmarks.memory import Made
from benchmarks.photos import write_captioned
from mm_milvus import ingest
from mm_milvus.sources.base import Source
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import Dataset, drop_dataset, open_dataset
from mm_milvus.store.read import stored_rows

DATASET, SIDE, UPSERTED = "mm_milvus_benchmark_overhead", 32, 256


class Small(Made):
    """The encoder that takes no time, for small pictures."""

    spec = replace(
        Made.spec, preprocessing=replace(Made.spec.preprocessing, height=SIDE, width=SIDE)
    )
    batch_size = UPSERTED


def measure(folder: Path, items: int, rounds: int, uri: str) -> dict[str, float]:
    """Microseconds of this process an item, the least of the rounds, and items a second."""
    photos = write_captioned(folder / "photos", items, (SIDE, SIDE))
    source = open_source(photos, SourceOptions())
    ours, least, rate = [], [], 0.0
    for _ in range(rounds):
        started = time.perf_counter()
        ours.append(processor_s(lambda: run(source, uri)))
        rate = max(rate, items / (time.perf_counter() - started))
        with Store(uri) as connection:
            least.append(processor_s(bare(photos, open_dataset(connection, DATASET))))
            drop_dataset(connection, DATASET)
    return {
        "microseconds_per_item": round(1e6 * min(ours) / items, 1),
        "least_microseconds_per_item": round(1e6 * min(least) / items, 1),
        "ratio_to_least": round(min(ours) / min(least), 2),
        "items_per_second": round(rate, 1),
    }


def run(source: Source, uri: str) -> None:
    """Ingest, and see that all is there."""
    report = ingest(source, dataset=DATASET, store=uri, model=Small())
    if report.images != source.size or report.rejected:
        raise SystemExit(f"{report.images} of {source.size} images are stored")


def bare(photos: Path, dataset: Dataset) -> Callable[[], None]:
    """Read the files and upsert the rows, which are made ready here."""
    paths = sorted(photos.glob("*.jpg"))
    ready = []
    for collection in dataset.collections:
        ids = [key for batch in collection.scan() for key, _ in batch]
        rows = [row.to_milvus({}) for row in stored_rows(collection, ids)]
        ready.append((collection, rows))

    def write() -> None:
        for path in paths:
            path.read_bytes()
        for collection, rows in ready:
            for start in range(0, len(rows), UPSERTED):
                collection.client.upsert(collection.name, rows[start : start + UPSERTED])

    return write


def processor_s(call: Callable[[], object]) -> float:
    """What a call takes of this process, in all its threads."""
    started = time.process_time()
    call()
    return time.process_time() - started


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", help="a server's address; default: a fresh local file")
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, chdir(temporary):
        uri = options.uri or f"{temporary}/store.db"
        found = measure(Path(temporary), options.items, options.rounds, uri)
    show(found, as_json=options.json)


if __name__ == "__main__":
    main()
