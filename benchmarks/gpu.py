"""Everything worth measuring on a machine with a GPU, in one command of a few minutes.

    python -m benchmarks.gpu [--items 16384] [--rounds 3] [--json]

encoder  a CLIP ViT-B/32 with random weights on decoded pixels, by number of images per call
decode   photos of 256 x 256 in one thread per core, which must keep up with the GPU
ingest   what `benchmarks.ingest` measures, on the GPU and into a new local file

The command ends with an error if photos are missing from the store, if a cosine to fp32 is below
0.995, or if there is no GPU. `--device cpu --items 8 --rounds 1` is a short form for a CPU, which
tests the benchmark.
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
from mm_milvus.images.decoding import load_pixels
from mm_milvus.images.preprocessing import Preprocessing

CALL_SIZES = (1, 32, 256, 1024)
SIZE = (256, 256)
"""Height and width of the JPEG files; large image-text datasets are often stored at this size."""


def measure(items: int, rounds: int, device: str) -> dict[str, Any]:
    """Measure everything; rates are in images per second."""
    with tempfile.TemporaryDirectory() as temporary, chdir(temporary):
        folder = Path(temporary)
        whole_run = ingest.measure(folder, items, rounds, device, None, size=SIZE)
        encoder = load_encoder(str(folder / "clip"), device=device)
        return {
            "device": torch.cuda.get_device_name() if device.startswith("cuda") else device,
            "torch": torch.__version__,
            "cores": os.cpu_count(),
            "encoder": encoder_rates(encoder, items, rounds),
            "decode": decode_rate(encoder.spec.preprocessing, items, rounds),
            "ingest": whole_run,
            "gpu_memory_mb": gpu_memory_mb(device),
        }


def encoder_rates(encoder: Encoder, items: int, rounds: int) -> dict[str, float]:
    """Return images per second by number of images per call; the best of interleaved rounds."""
    preprocessing = encoder.spec.preprocessing
    random = np.random.default_rng(0)
    best: dict[int, float] = {}
    for _ in range(rounds + 1):  # the first round warms up: later rounds replace its times
        for size in CALL_SIZES:
            if size > items:
                continue
            shape = (size, preprocessing.height, preprocessing.width, 3)
            pixels = random.integers(0, 256, shape, np.uint8)
            took = seconds(lambda pixels=pixels: encoder.encode_images(pixels))
            best[size] = min(best.get(size, float("inf")), took)
    return {str(size): round(size / took, 1) for size, took in best.items()}


def decode_rate(preprocessing: Preprocessing, items: int, rounds: int) -> float:
    """Return the decoding rate of the best round, in images per second."""
    files = [jpeg(number, SIZE) for number in range(min(items, 1024))]
    took = float("inf")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in range(rounds):
            started = time.perf_counter()
            shapes = list(pool.map(lambda file: load_pixels(file, preprocessing).shape, files))
            took = min(took, time.perf_counter() - started)
    if set(shapes) != {(preprocessing.height, preprocessing.width, 3)}:
        raise SystemExit(f"photos were decoded to {set(shapes)}")
    return round(len(files) / took, 1)


def gpu_memory_mb(device: str) -> float | None:
    """Return the peak memory that torch allocated on the GPU in MB; None without a GPU."""
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
    report = measure(options.items, options.rounds, options.device)
    print(json.dumps(report, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
