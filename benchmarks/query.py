"""Cost of a search compared with its two raw searches, and throughput of one client.

    python -m benchmarks.query --uri http://localhost:19530 [--items 50000] [--json]

Fills a dataset of matching images and captions unless it exists. The raw searches use pymilvus
directly, one collection after the other, with the same limit, fields and search parameters; ratios
are relative to them, interleaved within the same run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from pymilvus import MilvusClient

from benchmarks.figures import seconds, show
from mm_milvus.encoders.base import EncoderSpec
from mm_milvus.errors import EncoderError
from mm_milvus.images.preprocessing import Preprocessing
from mm_milvus.keys import caption_key, content_hash, image_key
from mm_milvus.search.client import SearchClient
from mm_milvus.search.fused import DEPTHS
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import create_dataset, find_dataset
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.rows import Row

DIM, CLUSTERS, NOISE = 512, 500, 1.2
DATASET = "mm_milvus_query_benchmark"
CLIENTS = (1, 4, 16, 64)
ROUNDS, WARM_UP = 200, 20
SPEC = EncoderSpec(
    id="benchmark",
    fingerprint="0" * 16,
    dim=DIM,
    preprocessing=Preprocessing(8, 8, None, "bicubic", (0.5,) * 3, (0.5,) * 3),
    max_tokens=77,
)


class CachedEncoder:
    """An encoder whose texts are the numbers of given vectors."""

    spec = SPEC
    batch_size = 1

    def __init__(self, vectors: np.ndarray) -> None:
        """Use these unit vectors (n, DIM)."""
        self._vectors = vectors

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Return the vectors with these numbers."""
        return self._vectors[[int(text) for text in texts]]

    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        """Fail: the queries are texts."""
        raise EncoderError(f"the benchmark's encoder encodes texts only, not {len(pixels)} images")


def items_and_queries(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return image, caption and query vectors of items, each float32 (count, DIM) with unit rows.

    An item's vector is the sum of a topic, which many items share, and a part of its own; image,
    caption and query add noise. An image and its caption have a cosine of 0.58, like true pairs of
    `compact` (0.59), two items of a topic 0.29, others 0.
    """
    topics = np.random.default_rng(0).normal(size=(CLUSTERS, DIM))
    random = np.random.default_rng(seed)
    items = topics[random.integers(0, CLUSTERS, count)] + random.normal(size=(count, DIM))
    noisy = (items + NOISE * random.normal(size=items.shape) for _ in range(3))
    images, captions, queries = (
        (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32) for rows in noisy
    )
    return images, captions, queries


def fill(uri: str, items: int) -> None:
    """Create the dataset, unless it exists with this number of items."""
    with Store(uri) as connection:
        existing = find_dataset(connection, DATASET)
        if existing and existing.counts() == {"image": items, "text": items}:
            return
        if existing:
            existing.drop()
        manifest = Manifest(DATASET, SPEC.id, SPEC.fingerprint, DIM)
        dataset = create_dataset(connection, manifest, items)
        for start in range(0, items, 1000):
            images, texts, _ = items_and_queries(1000, seed=start)
            numbers = range(start, min(start + 1000, items))
            for collection, vectors, key in (
                (dataset.images, images, image_key),
                (dataset.texts, texts, lambda item_id: caption_key(item_id, 0)),
            ):
                caption = "a caption of some words" if collection is dataset.texts else None
                collection.upsert(
                    [
                        Row(
                            key(item_id),
                            item_id,
                            f"/photos/{item_id}",
                            content_hash(item_id),
                            content_hash(item_id),
                            vector,
                            {"price": number, "category": f"c{number % 10}"},
                            caption,
                        )
                        for number, vector in zip(numbers, vectors, strict=False)
                        for item_id in [f"{number:08d}.jpg"]
                    ],
                    {},
                )
        dataset.finish()


def measure(uri: str, items: int) -> dict[str, float]:
    """Measure median milliseconds, ratios, and searches per second by number of threads."""
    fill(uri, items)
    # Queries about the first thousand items, so that each has an answer.
    vectors = items_and_queries(1000, seed=0)[2][: ROUNDS + WARM_UP]
    with (
        Store(uri) as connection,
        SearchClient(uri, DATASET, encoder=CachedEncoder(vectors)) as client,
    ):
        dataset = find_dataset(connection, DATASET)
        assert dataset is not None
        raw = raw_searches(connection.client, dataset)
        times: dict[str, list[float]] = {"raw": [], "search": []}
        stages: dict[str, list[float]] = {}
        for number in range(len(vectors)):
            text = str(number)
            client.search(text, top_k=1, fusion="max")  # caches the vector of the text
            timings = {
                "raw": seconds(partial(raw, vectors[number])),
                "search": seconds(partial(client.search, text)),
            }
            explained = client.explain(text).stages
            if number >= WARM_UP:
                for name, duration in timings.items():
                    times[name].append(1000 * duration)
                for name, duration in explained.items():
                    stages.setdefault(name, []).append(duration)
        figures = {name: statistics.median(all_) for name, all_ in times.items()}
        figures |= {f"stage {name}": statistics.median(all_) for name, all_ in stages.items()}
        without = sum(
            duration
            for name, duration in figures.items()
            if name.startswith("stage ") and "complete" not in name
        )
        figures["ratio"] = figures["search"] / figures["raw"]
        figures["ratio without completion"] = without / figures["raw"]
        for count in CLIENTS:
            figures[f"searches/s, {count} threads"] = throughput(client, count)
    return figures


def raw_searches(client: MilvusClient, dataset) -> Callable[[np.ndarray], None]:
    """Return a call of the two searches as written with pymilvus."""

    def search(vector: np.ndarray) -> None:
        for collection in dataset.collections:
            fields = ["item_id", "uri", "metadata"]
            if collection is dataset.texts:
                fields.append("caption")
            client.search(
                collection.name,
                data=[vector],
                limit=DEPTHS[0].items,
                output_fields=fields,
                search_params={
                    "metric_type": "IP",
                    "params": dataset.manifest.search_params[collection.modality.value],
                },
            )

    return search


def throughput(client: SearchClient, threads: int) -> float:
    """Return the searches per second of one client that is shared between threads."""
    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        list(pool.map(client.search, [str(number) for number in range(ROUNDS)]))
        return ROUNDS / (time.perf_counter() - started)


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", required=True)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.uri, options.items)
    show(figures, as_json=options.json)


if __name__ == "__main__":
    main()
