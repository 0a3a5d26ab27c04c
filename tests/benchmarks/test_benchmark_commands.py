"""The benchmarks run, and tell what they say they tell: in a small form, and never how fast."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(module: str, *arguments: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments, "--json"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_memory_takes_any_number_of_items():
    [only] = run("memory", "--items", "40")["runs"]
    assert only["items"] == 40
    assert only["peak_memory_mb"] >= 0


def test_unchanged_leaves_all_items_as_they_are():
    assert run("unchanged", "--items", "40", "--rounds", "1")["rows_per_second"] > 0


def test_overhead_is_more_than_the_least():
    found = run("overhead", "--items", "40", "--rounds", "1")
    assert found["microseconds_per_item"] > found["least_microseconds_per_item"] > 0


def test_stages_tells_a_rate_of_each():
    found = run("stages", "--items", "40", "--rounds", "1", "--no-encode")
    assert list(found) == ["read", "accept", "decode", "write"]


def test_the_gpu_benchmark_checks_itself_on_a_cpu():
    found = run("gpu", "--device", "cpu", "--items", "8", "--rounds", "1")
    assert set(found["ingest"]) >= {
        "images_per_second",
        "ratio_to_encoder_bound",
        "ratio_to_tutorial_loop",
        "peak_memory_mb",
    }
    assert found["ingest"]["least_cosine"] >= 0.995
