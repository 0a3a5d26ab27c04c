"""The benchmarks run in a short form and report their figures; no speed is checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(module: str, *arguments: str) -> dict:
    process = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments, "--json"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return json.loads(process.stdout)


def test_memory_takes_any_number_of_items():
    [figures] = run("memory", "--items", "40")["runs"]
    assert figures["items"] == 40
    assert figures["peak_memory_mb"] >= 0


def test_unchanged_data_is_not_encoded_again():
    assert run("unchanged", "--items", "40", "--rounds", "1")["rows_per_second"] > 0


def test_overhead_exceeds_the_minimum():
    figures = run("overhead", "--items", "40", "--rounds", "1")
    assert figures["microseconds_per_item"] > figures["least_microseconds_per_item"] > 0


def test_stages_reports_a_rate_of_each_stage():
    figures = run("stages", "--items", "40", "--rounds", "1", "--no-encode")
    assert list(figures) == ["read", "accept", "decode", "write"]


def test_the_gpu_benchmark_checks_itself_on_a_cpu():
    figures = run("gpu", "--device", "cpu", "--items", "8", "--rounds", "1")
    assert set(figures["ingest"]) >= {
        "images_per_second",
        "ratio_to_encoder_bound",
        "ratio_to_tutorial_loop",
        "peak_memory_mb",
    }
    assert figures["ingest"]["least_cosine"] >= 0.995
