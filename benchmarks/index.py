"""Recall and speed of the index with the search parameters that an ingest chooses.

    OMP_NUM_THREADS=1 python -m benchmarks.index [--uri URI] [--index HNSW] [--json]

Two collections of 50,000 rows are filled and finished through the store's own code. 1,000 vectors
that are not stored are the queries, half of each modality; the ground truth is a numpy scan in
float32. Without --uri a new local file is used; on a server a dataset is created and dropped.

The vectors are distributed like real embeddings: each is one of the example's 700 images (1,400
captions) encoded with compact, moved towards one of its ten nearest neighbours and by noise with
their covariance. The clusters overlap as real ones do, and images lie apart from captions.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from mm_milvus.arrays import Vectors
from mm_milvus.bundled import example_pictures
from mm_milvus.encoders.load import load_encoder
from mm_milvus.images.decoding import load_pixels
from mm_milvus.keys import caption_key, content_hash, image_key
from mm_milvus.store.collection import Collection
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import Dataset, create_dataset
from mm_milvus.store.index import INDEX_TYPES
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.rows import Row

DATASET = "mm_milvus_benchmark_index"
QUERIES, NEIGHBOURS, TIMED = 1000, 10, 100
NOISE = 0.4
"""Standard deviation of the noise, relative to the spread of the embeddings."""


def main() -> None:
    """Read the command line, fill a dataset, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", help="a server's address; default: a fresh local file")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--index", choices=INDEX_TYPES, default="IVF_FLAT")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    images, texts = example_embeddings()
    random = np.random.default_rng(0)
    stored = {"image": similar_vectors(images, arguments.rows, random)}
    stored["text"] = similar_vectors(texts, arguments.rows, random)
    queries = {"image": similar_vectors(images, QUERIES // 2, random)}
    queries["text"] = similar_vectors(texts, QUERIES // 2, random)
    with filled(arguments.uri, arguments.index, stored) as (dataset, seconds):
        report = {"engine": arguments.uri or "Milvus Lite", "index": arguments.index}
        report |= {"rows": arguments.rows, "dim": dataset.manifest.dim, **seconds}
        report |= {
            collection.modality.value: measured(
                dataset, collection, stored[collection.modality.value], queries
            )
            for collection in dataset.collections
        }
    print(json.dumps(report) if arguments.json else json.dumps(report, indent=2))


def example_embeddings() -> tuple[Vectors, Vectors]:
    """Encode the example's images and captions with compact."""
    encoder = load_encoder("compact")
    folder = example_pictures()
    lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    files = [(folder / item["file_name"]).read_bytes() for item in items]
    pixels = [load_pixels(file, encoder.spec.preprocessing) for file in files]
    captions = [caption for item in items for caption in item["captions"]]
    return encoder.encode_images(np.stack(pixels)), encoder.encode_texts(captions)


def similar_vectors(embeddings: Vectors, count: int, random: np.random.Generator) -> Vectors:
    """Draw unit vectors (count, dim) distributed like the embeddings."""
    nearest = np.argsort(-(embeddings @ embeddings.T), axis=1)[:, 1 : NEIGHBOURS + 1]
    variances, axes = np.linalg.eigh(np.cov(embeddings.T))
    spread = (axes * np.sqrt(np.clip(variances, 0, None))).T
    start = random.integers(len(embeddings), size=count)
    target = nearest[start, random.integers(nearest.shape[1], size=count)]
    fraction = random.uniform(0, 0.5, size=(count, 1))
    noise = random.normal(size=(count, embeddings.shape[1])) @ spread
    rows = embeddings[start] * (1 - fraction) + embeddings[target] * fraction + NOISE * noise
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@contextmanager
def filled(
    uri: str | None, index: str, stored: dict[str, Vectors]
) -> Iterator[tuple[Dataset, dict[str, float]]]:
    """Yield the finished dataset and the seconds that it took; drop it at the end."""
    manifest = Manifest(DATASET, "compact", "0" * 16, stored["image"].shape[1], index)
    with tempfile.TemporaryDirectory() as folder, Store(uri or f"{folder}/store.db") as store:
        dataset = create_dataset(store, manifest, len(stored["image"]))
        try:
            start = time.perf_counter()
            for collection in dataset.collections:
                collection.upsert(rows(collection, stored[collection.modality.value]), {})
            written = time.perf_counter()
            dataset = dataset.finish()
            finished = time.perf_counter()
            yield dataset, {"write_s": written - start, "finish_s": finished - written}
        finally:
            dataset.drop()


def rows(collection: Collection, vectors: Vectors) -> Iterator[Row]:
    """Yield the vectors as rows of a collection, named by their number."""
    is_image = collection.modality.value == "image"
    for number, vector in enumerate(vectors):
        name = str(number)
        yield Row(
            id=image_key(name) if is_image else caption_key(name, 0),
            item_id=name,
            uri=name,
            content_hash=content_hash(name),
            detail_hash=content_hash(name),
            embedding=vector,
            metadata={},
            caption=None if is_image else name,
        )


def measured(
    dataset: Dataset, collection: Collection, stored: Vectors, queries: dict[str, Vectors]
) -> dict[str, object]:
    """Measure the recall@10 of both modalities' queries, and the median latency of one search."""
    chosen = dataset.manifest.search_params[collection.modality.value]
    settings = dataset.tuner(collection).settings
    result: dict[str, object] = {"built": collection.built_with(), "chosen": chosen}
    result["recall@10"] = {
        name: recall(collection, stored, vectors, chosen) for name, vectors in queries.items()
    }
    all_queries = np.concatenate(list(queries.values()))
    result["latency_ms"] = latency_ms(collection, all_queries, chosen)
    if settings:
        parameter = next(iter(chosen))
        result["latency_ms_at_most"] = latency_ms(
            collection, all_queries, {parameter: settings[-1]}
        )
    return result


def recall(
    collection: Collection, stored: Vectors, queries: Vectors, params: dict[str, int]
) -> float:
    """Return the share of the ten true nearest neighbours that the searches find."""
    exact = np.argsort(-(queries @ stored.T), axis=1)[:, :NEIGHBOURS]
    results = collection.search(queries, NEIGHBOURS, params=params)
    hits = [
        len({int(match.item_id) for match in matches} & set(truth.tolist()))
        for matches, truth in zip(results, exact, strict=True)
    ]
    return sum(hits) / exact.size


def latency_ms(collection: Collection, queries: Vectors, params: dict[str, int]) -> float:
    """Return the median time of a search for ten neighbours in ms, one query at a time."""
    times = []
    for query in queries[:: len(queries) // TIMED]:
        start = time.perf_counter()
        collection.search(query[None], NEIGHBOURS, params=params)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    main()
