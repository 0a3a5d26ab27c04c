"""Speed of an ingest compared with the loop of tutorials and with the encoder alone.

    python -m benchmarks.ingest [--items 512] [--rounds 3] [--format onnx [--int8]] [--uri URI]

A CLIP ViT-B/32 with random weights, which run at the speed of trained ones, takes photos of
400 x 533 from a folder into a new dataset. Interleaved, round after round:

tutorial  one image at a time: Pillow, the model's processor, the model as transformers loads it
          (fp32), and an insert; an eighth of the photos
encoder   the same model on decoded pixels, as `load_encoder` returns it, or with --format and
          --int8 as `mm-milvus export` wrote it: an upper bound
ingest    the whole of `mm_milvus.ingest`, from an empty store to a searchable dataset; the model
          is already loaded

Other programs may use the machine: rates are those of the best round, and each ratio is the median
of the rounds' ratios. The benchmark ends with an error if a photo was not stored, or if the cosine
of a vector to that of fp32 is below 0.995.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pymilvus import MilvusClient

from benchmarks.encoders import build_clip
from benchmarks.figures import seconds, show
from benchmarks.memory import peak_mb
from benchmarks.photos import SIZE, write_photos
from mm_milvus import ingest
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import load_encoder
from mm_milvus.exporting.export import export
from mm_milvus.images.decoding import load_pixels
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import drop_dataset

MIN_COSINE = 0.995
DATASET = "mm_milvus_benchmark_ingest"
TUTORIAL_SHARE = 8


class Tutorial:
    """The loop of most tutorials: all steps for one image, then for the next."""

    def __init__(self, model: str, uri: str, device: str) -> None:
        """Load the model with transformers, and create a collection."""
        from transformers import AutoModel, AutoProcessor

        self._model = AutoModel.from_pretrained(model).to(device).eval()
        self._processor = AutoProcessor.from_pretrained(model)
        self._device = device
        self._client = MilvusClient(uri)
        if self._client.has_collection(f"{DATASET}_tutorial"):
            self._client.drop_collection(f"{DATASET}_tutorial")
        self._client.create_collection(f"{DATASET}_tutorial", dimension=512, auto_id=True)

    def vector(self, path: Path) -> np.ndarray:
        """Return the unit vector (dim,) of an image file."""
        image = Image.open(path).convert("RGB")
        inputs = self._processor(images=image, return_tensors="pt").to(self._device)
        with torch.no_grad():
            features = self._model.get_image_features(**inputs)
        features = getattr(features, "pooler_output", features)[0]
        vector: np.ndarray = (features / features.norm()).cpu().numpy()
        return vector

    def run(self, paths: list[Path]) -> None:
        """Encode and insert the images one by one."""
        for path in paths:
            row = {"vector": self.vector(path).tolist(), "path": str(path)}
            self._client.insert(f"{DATASET}_tutorial", [row])

    def close(self) -> None:
        """Drop the collection and close the connection."""
        self._client.drop_collection(f"{DATASET}_tutorial")
        self._client.close()


def measure(
    folder: Path,
    items: int,
    rounds: int,
    device: str,
    uri: str | None,
    *,
    size: tuple[int, int] = SIZE,
    format: str | None = None,  # noqa: A002
    int8: bool = False,
) -> dict[str, Any]:
    """Measure rates, ratios, peak memory and the lowest cosine; `folder` is empty."""
    photos = write_photos(folder / "photos", items, size)
    paths = sorted(photos.iterdir())
    model = build_clip(folder / "clip")
    name = model
    if format:
        name = export(model, folder / "exported", format=format, int8=int8).folder
    encoder = load_encoder(name, device=device)
    pixels = np.stack(
        [load_pixels(path.read_bytes(), encoder.spec.preprocessing) for path in paths]
    )
    tutorial = Tutorial(model, uri or str(folder / "tutorial.db"), device)
    subset = paths[: max(1, items // TUTORIAL_SHARE)]
    cosine = lowest_cosine(tutorial, encoder, subset[:32], pixels)
    if cosine < MIN_COSINE:
        raise SystemExit(f"the lowest cosine to fp32 is {cosine:.4f}, below {MIN_COSINE}")
    times: dict[str, list[float]] = {"tutorial": [], "encoder": [], "ingest": []}
    peaks = []
    for turn in range(rounds):
        store = uri or str(folder / f"store-{turn}.db")
        times["tutorial"].append(seconds(lambda: tutorial.run(subset)) / len(subset))
        times["encoder"].append(seconds(lambda: encode_in_batches(encoder, pixels)) / items)
        started = time.perf_counter()
        peaks.append(peak_mb(lambda store=store: ingest_all(photos, encoder, store, items)))
        times["ingest"].append((time.perf_counter() - started) / items)
        if uri:
            with Store(uri) as connection:
                drop_dataset(DATASET, connection)
    tutorial.close()
    return summarise(times, peaks, cosine)


def ingest_all(photos: Path, encoder: Encoder, uri: str, items: int) -> None:
    """Ingest, and check that everything was stored."""
    report = ingest(
        open_source(str(photos), SourceOptions()), dataset=DATASET, store=uri, model=encoder
    )
    if report.images != items or report.rejected:
        raise SystemExit(
            f"{report.images} of {items} images are stored, {report.rejected} rejected"
        )


def encode_in_batches(encoder: Encoder, pixels: np.ndarray) -> None:
    """Encode decoded pixels as the pipeline does, one batch per call."""
    for start in range(0, len(pixels), encoder.batch_size):
        encoder.encode_images(pixels[start : start + encoder.batch_size])


def lowest_cosine(
    tutorial: Tutorial, encoder: Encoder, paths: list[Path], pixels: np.ndarray
) -> float:
    """Return the lowest cosine between the fp32 model of the tutorial and the measured encoder."""
    expected = np.stack([tutorial.vector(path) for path in paths])
    return float((expected * encoder.encode_images(pixels[: len(paths)])).sum(1).min())


def summarise(times: dict[str, list[float]], peaks: list[float], cosine: float) -> dict[str, Any]:
    """Return the figures that the benchmark prints."""
    rates = {name: 1 / min(rounds) for name, rounds in times.items()}

    def ratio(baseline: str) -> float:
        pairs = zip(times[baseline], times["ingest"], strict=True)
        return statistics.median(base / whole for base, whole in pairs)

    return {
        "images_per_second": round(rates["ingest"], 2),
        "ratio_to_encoder_bound": round(ratio("encoder"), 3),
        "ratio_to_tutorial_loop": round(ratio("tutorial"), 2),
        "peak_memory_mb": round(max(peaks), 1),
        "encoder_images_per_second": round(rates["encoder"], 2),
        "tutorial_images_per_second": round(rates["tutorial"], 2),
        "least_cosine": round(cosine, 5),
    }


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--format", help="export the model to it: onnx, openvino, torchscript")
    parser.add_argument("--int8", action="store_true", help="and quantise it")
    parser.add_argument("--uri", help="a server's address; default: new local files")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary, chdir(temporary):
        figures = measure(
            Path(temporary),
            options.items,
            options.rounds,
            options.device,
            options.uri,
            format=options.format,
            int8=options.int8,
        )
    show(figures, as_json=options.json)


if __name__ == "__main__":
    main()
