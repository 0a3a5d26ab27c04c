"""An evaluation on disk: what it came to, and the values of every query, to be compared."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mm_milvus.errors import QueryError, StoreError
from mm_milvus.evaluation.metrics import RANK, Values
from mm_milvus.evaluation.results import Evaluation, Run

RESULTS, RUNS = "results.json", "runs"
SUFFIX = ".jsonl"
QUERY_ID = "query_id"


def make_folder(folder: Path) -> None:
    """Make the folder of an evaluation; `StoreError` when it cannot be written to."""
    try:
        (folder / RUNS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write `results.json`, and `runs/NAME.jsonl` with an object a query for each run.

    Raises `StoreError` when the folder cannot be written.
    """
    make_folder(folder)
    document = json.dumps(evaluation.to_dict(), ensure_ascii=False, indent=1)
    try:
        (folder / RESULTS).write_text(document + "\n", encoding="utf-8")
        for run in evaluation.runs:
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(run))
            path = folder / RUNS / f"{evaluation.name_of(run)}{SUFFIX}"
            path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise _unwritable(folder, error) from error


def read_runs(path: Path) -> dict[str, Mapping[str, Mapping[str, float]]]:
    """The runs of a folder that `write_evaluation` wrote, or the one of a file in it, by name.

    A run has for each query_id the value of each metric. Raises `QueryError` where there is none.
    """
    files = [path] if path.is_file() else sorted((path / RUNS).glob(f"*{SUFFIX}"))
    if not files:
        raise QueryError(
            f"{path} holds no evaluation: name a folder that --output wrote, or a file in its runs"
        )
    return {file.name.removesuffix(SUFFIX): _read(file) for file in files}


def _rows(run: Run) -> list[dict[str, str | float | int | None]]:
    return [
        {
            QUERY_ID: query_id,
            RANK: _rank(run.values[RANK][row]),
            **{
                name: round(float(values[row]), 6)
                for name, values in run.values.items()
                if name != RANK
            },
        }
        for row, query_id in enumerate(run.query_ids)
    ]


def _unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(f"cannot write {folder}: {error.strerror}; check the path")


def _rank(value: float) -> int | None:
    return int(value) if math.isfinite(value) else None


def _read(path: Path) -> dict[str, dict[str, float]]:
    found = {}
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                query_id = row.pop(QUERY_ID)
                row.pop(RANK)
                found[query_id] = {name: float(value) for name, value in row.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise QueryError(
            f"{path} is no run of an evaluation; name one that evaluate --output wrote"
        ) from error
    return found


def table(run: Mapping[str, Mapping[str, float]], queries: list[str], metrics: list[str]) -> Values:
    """The values (queries, metrics) of a run."""
    return np.array([[run[query][name] for name in metrics] for query in queries])
