"""Speed of an ingest of unchanged data.

    python -m benchmarks.unchanged --uri http://localhost:19530 [--items 10000] [--json]

The items are JPEG files of 16 x 16 in memory with one caption each, so rows are compared, hashed
and looked up, and no disk is read. An item has two rows. Interleaved:

ingest   the whole of `mm_milvus.ingest` on data that is already stored
lookups  only the lookups of the hashes of the same rows, 1,000 ids per call, in sequence
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import chdir

from benchmarks.figures import show
from benchmarks.memory import PixelEncoder, RepeatedSource
from mm_milvus import ingest
from mm_milvus.keys import caption_key, image_key
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import drop_dataset, open_dataset

DATASET, SIDE = "mm_milvus_benchmark_unchanged", 16


def measure(uri: str, items: int, rounds: int) -> dict[str, float]:
    """Measure rows per second of the best round, and the median ratio to the lookups alone."""
    source, encoder = RepeatedSource(items, SIDE), PixelEncoder()
    first = ingest(source, dataset=DATASET, store=uri, model=encoder)
    if first.images + first.skipped != items or first.rejected:
        raise SystemExit(f"{first.images + first.skipped} of {items} images are stored")
    names = [f"{number:08d}.jpg" for number in range(items)]
    whole, alone = [], []
    with Store(uri) as connection:
        dataset = open_dataset(connection, DATASET)
        for _ in range(rounds):
            again = ingest(source, dataset=DATASET, store=uri, model=encoder)
            if again.skipped != items:
                raise SystemExit(f"{again.skipped} of {items} images were recognised as unchanged")
            whole.append(again.seconds)
            started = time.perf_counter()
            dataset.images.hashes([image_key(name) for name in names])
            dataset.texts.hashes([caption_key(name, 0) for name in names])
            alone.append(time.perf_counter() - started)
        drop_dataset(DATASET, connection)
    return {
        "items": items,
        "rows_per_second": round(2 * items / min(whole)),
        "lookup_rows_per_second": round(2 * items / min(alone)),
        "ratio_to_lookups": round(
            statistics.median(a / w for a, w in zip(alone, whole, strict=True)), 2
        ),
        "first_items_per_second": round(items / first.seconds),
    }


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", help="a server's address; default: a new local file")
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        figures = measure(options.uri or f"{folder}/store.db", options.items, options.rounds)
    show(figures, as_json=options.json)


if __name__ == "__main__":
    main()
