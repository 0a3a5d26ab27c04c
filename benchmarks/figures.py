"""Timing of calls and printing of figures, for all benchmarks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping


def seconds(call: Callable[[], object]) -> float:
    """Return the wall-clock time of one call in seconds."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def show(figures: Mapping[str, float], *, as_json: bool) -> None:
    """Print figures by name: as one line of JSON, or as a Markdown table."""
    if as_json:
        print(json.dumps(figures))
        return
    print("| measure | figure |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name.replace('_', ' ')} | {round(value, 2):,} |")
