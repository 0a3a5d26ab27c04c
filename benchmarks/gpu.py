"""All that is worth measuring where there is a GPU, in one command of some minutes.

    python -m benchmarks.gpu [--items 16384] [--rounds 3] [--json]

encoder  a CLIP ViT-B/32 with random weights on ready pixels, by the images a call
decode   photos of 256 x 256 in as many threads as there are cores: what feeds the GPU
ingest   what `benchmarks.ingest` measures, on the GPU and into a fresh local file

It checks itself, and ends with an error where photos are missing from the store, where a cosine
to fp32 is below 0.995, or where there is no GPU. `--device cpu --items 8 --rounds 1` runs the
same on a CPU, in a small form that is its test.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import ingest
from benchmarks.figures import seconds
from benchmarks.photos import jpeg
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import load_encoder
from mm_milvus.images.decode import load_pixels
from mm_milvus.images.preprocessing import Preprocessing

CALLS = (1, 32, 256, 1024)
SIZE = (256, 256)
"""Of the JPEG files: what large sets of image and text are often stored at."""


def measure(items: int, rounds: int, device: str) -> dict[str, Any]:
    """All figures, in images a second where nothing else is said."""
    with tempfile.TemporaryDirectory() as temporary, chdir(temporary):
        folder = Path(temporary)
        whole = ingest.measure(folder, items, rounds, device, None, size=SIZE)
        encoder = load_encoder(str(folder / "clip"), device=device)
        return {
            "device": torch.cuda.get_device_name() if device.startswith("cuda") else device,
            "torch": torch.__version__,
            "cores": os.cpu_count(),
            "encoder": encoder_rates(encoder, items, rounds),
            "decode": decode_rate(encoder.spec.preprocessing, items, rounds),
            "ingest": whole,
            "gpu_memory_mb": gpu_memory_mb(device),
        }


def encoder_rates(encoder: Encoder, items: int, rounds: int) -> dict[str, float]:
    """By the number of images in a call, the best of the rounds, which take turns."""
    preprocessing = encoder.spec.preprocessing
    random = np.random.default_rng(0)
    best: dict[int, float] = {}
    for _ in range(rounds + 1):  # the first round warms up, and counts for nothing it slows down
        for size in CALLS:
            if size > items:
                continue
            shape = (size, preprocessing.height, preprocessing.width, 3)
            pixels = random.integers(0, 256, shape, np.uint8)
            took = seconds(lambda pixels=pixels: encoder.encode_images(pixels))
            best[size] = min(best.get(size, float("inf")), took)
    return {str(size): round(size / took, 1) for size, took in best.items()}


def decode_rate(preprocessing: Preprocessing, items: int, rounds: int) -> float:
    """Of the best round."""
    files = [jpeg(number, SIZE) for number in range(min(items, 1024))]
    took = float("inf")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in range(rounds):
            started = time.perf_counter()
            done = list(pool.map(lambda file: load_pixels(file, preprocessing).shape, files))
            took = min(took, time.perf_counter() - started)
    if set(done) != {(preprocessing.height, preprocessing.width, 3)}:
        raise SystemExit(f"photos were decoded to {set(done)}")
    return round(len(files) / took, 1)


def gpu_memory_mb(device: str) -> float | None:
    """The most that torch held on the GPU; None: there is no GPU."""
    if not device.startswith("cuda"):
        return None
    return round(torch.cuda.max_memory_allocated() / 1e6, 1)


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=16_384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit(
            "torch finds no GPU here; --device cpu --items 8 --rounds 1 tests the rest"
        )
    found = measure(options.items, options.rounds, options.device)
    print(json.dumps(found) if options.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
