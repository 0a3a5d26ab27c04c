"""What the benchmarks share: how long a call takes, and how figures are printed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping


def seconds(call: Callable[[], object]) -> float:
    """What one call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def show(found: Mapping[str, float], *, as_json: bool) -> None:
    """Print the figures by their names: one line of JSON, or a Markdown table."""
    if as_json:
        print(json.dumps(found))
        return
    print("| what | figure |\n|---|---|")
    for name, value in found.items():
        print(f"| {name.replace('_', ' ')} | {round(value, 2):,} |")
