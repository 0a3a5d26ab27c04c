"""Speed of each stage of an ingest by itself.

    python -m benchmarks.stages [--items 256] [--rounds 5] [--uri URI] [--json]

read    files from a folder into record batches
accept  hashes, keys and checks of those
decode  files of 400 x 533 to pixels of 224 x 224, in the threads of the pipeline
encode  a CLIP ViT-B/32 with random weights on decoded pixels; omitted with --no-encode
write   finished rows of 512 dimensions into the store, one upsert per batch of the pipeline

The stages are interleaved, round after round. The figure is the best round in images per second;
the share is the stage's time relative to that of the slowest stage.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np

from benchmarks.encoders import build_clip
from benchmarks.memory import PixelEncoder
from benchmarks.photos import write_photos
from mm_milvus.encoders.load import load_encoder
from mm_milvus.keys import content_hash, image_key
from mm_milvus.pipeline.accept import accept_items
from mm_milvus.pipeline.batch import Batch
from mm_milvus.pipeline.stages import decode, encode
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import create_dataset, find_dataset
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.rows import Row

DATASET, DIM, BATCH = "mm_milvus_benchmark_stages", 512, 32


def measure(folder: Path, items: int, rounds: int, uri: str, *, encoded: bool) -> dict[str, float]:
    """Measure images per second of each stage; `folder` is empty."""
    source = open_source(str(write_photos(folder / "photos", items)), SourceOptions())
    encoder = load_encoder(build_clip(folder / "clip"), device="cpu") if encoded else PixelEncoder()
    best: dict[str, float] = {}

    def timed(stage: str, call: Callable[[], object]) -> object:
        started = time.perf_counter()
        result = call()
        took = time.perf_counter() - started
        best[stage] = min(best.get(stage, float("inf")), took)
        return result

    vectors = np.random.default_rng(0).normal(size=(items, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with Store(uri) as connection:
        if existing := find_dataset(connection, DATASET):
            existing.drop()
        manifest = Manifest(DATASET, "pixels", "0" * 16, DIM)
        dataset = create_dataset(connection, manifest, items)
        rows = [row(number, vector) for number, vector in enumerate(vectors)]
        for _ in range(rounds):
            batches = timed("read", lambda: list(source.batches()))
            accepted = timed(
                "accept", lambda batches=batches: list(accept_items(iter(batches), {}))
            )
            decoded = timed(
                "decode",
                lambda accepted=accepted: list(
                    decode(iter(accepted), encoder.spec.preprocessing, BATCH)
                ),
            )
            if encoded:
                timed("encode", lambda decoded=decoded: run_encoder(decoded, encoder))
            timed("write", lambda: write(dataset, rows))
        if dataset.images.count() != items:
            raise SystemExit(f"{dataset.images.count()} of {items} rows are stored")
        dataset.drop()
    return {stage: round(items / took, 1) for stage, took in best.items()}


def run_encoder(batches: list[Batch], encoder) -> list[Batch]:
    """Run the encode stage on decoded batches."""
    return list(encode(iter(batches), encoder, {}, BATCH, threading.Event()))


def write(dataset, rows: list[Row]) -> None:
    """Write rows into the store, in batches of the pipeline."""
    for start in range(0, len(rows), BATCH):
        dataset.images.upsert(rows[start : start + BATCH], {})


def row(number: int, vector: np.ndarray) -> Row:
    """Make a finished row of the image collection."""
    name = f"{number:06d}.jpg"
    digest = content_hash(name)
    return Row(image_key(name), name, f"/photos/{name}", digest, digest, vector, {"number": number})


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--uri", help="a server's address; default: a new local file")
    parser.add_argument("--no-encode", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary, chdir(temporary):
        uri = options.uri or f"{temporary}/store.db"
        encoded = not options.no_encode
        rates = measure(Path(temporary), options.items, options.rounds, uri, encoded=encoded)
    if options.json:
        print(json.dumps(rates))
        return
    slowest = min(rates.values())
    print("| stage | images/s | share of the slowest stage's time |\n|---|---|---|")
    for stage, rate in rates.items():
        print(f"| {stage} | {rate:,.0f} | {slowest / rate:.1%} |")


if __name__ == "__main__":
    main()
