"""Recall and speed of the index at the settings that the end of an ingest chooses.

    OMP_NUM_THREADS=1 python -m benchmarks.index [--uri URI] [--index HNSW] [--json]

Two collections of 50,000 rows are filled through the store's own code and finished. 1,000 vectors
that are not stored ask, half of them of each modality; the truth is a numpy scan in float32.
Without --uri, a fresh local file is filled; on a server, a data set of that name is made and
dropped.

The vectors are of real embeddings' shape: each is one of compact's 700 images (1,400 captions) of
the example, moved towards one of its ten nearest and by noise of their covariance. The clusters
overlap as real ones do, and images lie apart from captions.
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
from numpy.typing import NDArray

from mm_milvus.bundled import example_pictures
from mm_milvus.encoders.load import load_encoder
from mm_milvus.images.decode import load_pixels
from mm_milvus.keys import caption_key, content_hash, image_key
from mm_milvus.store.collection import Collection
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import Dataset, create_dataset
from mm_milvus.store.index import INDEX_TYPES
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.rows import Row

Vectors = NDArray[np.float32]

DATASET = "mm_milvus_benchmark_index"
QUERIES, NEIGHBOURS, TIMED = 1000, 10, 100
NOISE = 0.4
"""Of the embeddings' own spread, the share that each vector is moved by at random."""


def main() -> None:
    """Fill, finish, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", help="a server's address; default: a fresh local file")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--index", choices=INDEX_TYPES, default="IVF_FLAT")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    images, texts = example_embeddings()
    random = np.random.default_rng(0)
    stored = {"image": alike(images, arguments.rows, random)}
    stored["text"] = alike(texts, arguments.rows, random)
    asked = {"image": alike(images, QUERIES // 2, random)}
    asked["text"] = alike(texts, QUERIES // 2, random)
    with filled(arguments.uri, arguments.index, stored) as (dataset, seconds):
        report = {"engine": arguments.uri or "Milvus Lite", "index": arguments.index}
        report |= {"rows": arguments.rows, "dim": dataset.manifest.dim, **seconds}
        report |= {
            collection.modality.value: measured(
                dataset, collection, stored[collection.modality.value], asked
            )
            for collection in dataset.collections
        }
    print(json.dumps(report) if arguments.json else json.dumps(report, indent=2))


def example_embeddings() -> tuple[Vectors, Vectors]:
    """The example's images and captions as compact encodes them."""
    encoder = load_encoder("compact")
    folder = example_pictures()
    lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    files = [(folder / each["file_name"]).read_bytes() for each in items]
    pixels = [load_pixels(file, encoder.spec.preprocessing) for file in files]
    captions = [caption for each in items for caption in each["captions"]]
    return encoder.encode_images(np.stack(pixels)), encoder.encode_texts(captions)


def alike(embeddings: Vectors, count: int, random: np.random.Generator) -> Vectors:
    """New unit vectors that are spread as the embeddings are."""
    nearest = np.argsort(-(embeddings @ embeddings.T), axis=1)[:, 1 : NEIGHBOURS + 1]
    variances, axes = np.linalg.eigh(np.cov(embeddings.T))
    spread = (axes * np.sqrt(np.clip(variances, 0, None))).T
    one = random.integers(len(embeddings), size=count)
    other = nearest[one, random.integers(nearest.shape[1], size=count)]
    way = random.uniform(0, 0.5, size=(count, 1))
    noise = random.normal(size=(count, embeddings.shape[1])) @ spread
    rows = embeddings[one] * (1 - way) + embeddings[other] * way + NOISE * noise
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@contextmanager
def filled(
    uri: str | None, index: str, stored: dict[str, Vectors]
) -> Iterator[tuple[Dataset, dict[str, float]]]:
    """The finished data set, and how long it took; dropped at the end."""
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
    """The vectors as rows of a collection, named by their number."""
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
    dataset: Dataset, collection: Collection, stored: Vectors, asked: dict[str, Vectors]
) -> dict[str, object]:
    """Recall at ten of both modalities' queries, and the median latency of one search."""
    chosen = dataset.manifest.search_params[collection.modality.value]
    most = dataset.tuner(collection).settings
    result: dict[str, object] = {"built": collection.built_with(), "chosen": chosen}
    result["recall@10"] = {
        name: recall(collection, stored, queries, chosen) for name, queries in asked.items()
    }
    everybody = np.concatenate(list(asked.values()))
    result["latency_ms"] = latency_ms(collection, everybody, chosen)
    if most:
        knob = next(iter(chosen))
        result["latency_ms_at_most"] = latency_ms(collection, everybody, {knob: most[-1]})
    return result


def recall(
    collection: Collection, stored: Vectors, queries: Vectors, params: dict[str, int]
) -> float:
    """The share of the true ten nearest that the searches find."""
    exact = np.argsort(-(queries @ stored.T), axis=1)[:, :NEIGHBOURS]
    found = collection.search(queries, NEIGHBOURS, params=params)
    hits = [
        len({int(match.item_id) for match in matches} & set(truth.tolist()))
        for matches, truth in zip(found, exact, strict=True)
    ]
    return sum(hits) / exact.size


def latency_ms(collection: Collection, queries: Vectors, params: dict[str, int]) -> float:
    """The median time of a search for ten neighbours, one query at a time."""
    times = []
    for query in queries[:: len(queries) // TIMED]:
        start = time.perf_counter()
        collection.search(query[None], NEIGHBOURS, params=params)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    main()
