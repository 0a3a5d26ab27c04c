"""An evaluation on disk: its summary, and the values of every query, which `compare` reads."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

from mm_milvus.atomic import atomic_file, unwritable
from mm_milvus.errors import QueryError
from mm_milvus.evaluation.metrics import RANK
from mm_milvus.evaluation.results import Evaluation, EvaluationRun

RESULTS, RUNS = "results.json", "runs"
SUFFIX = ".jsonl"
QUERY_ID = "query_id"


def make_folder(folder: Path) -> None:
    """Create the folder of an evaluation; raise OutputError when it cannot be created."""
    try:
        (folder / RUNS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def write_evaluation(folder: str | os.PathLike[str], evaluation: Evaluation) -> None:
    """Write an evaluation to a folder, where `compare` finds it.

    Args:
        folder: Created if it does not exist. It receives `results.json`, the summary, and per run a
            file `runs/NAME.jsonl` with one JSON object per query.
        evaluation: From `evaluate`.

    Raises:
        OutputError: When the folder or a file cannot be written.
    """
    folder = Path(folder)
    make_folder(folder)
    for run in evaluation.runs:
        with atomic_file(folder / RUNS / f"{evaluation.run_name(run)}{SUFFIX}") as file:
            for row in _rows(run):
                file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    with atomic_file(folder / RESULTS) as file:
        summary = json.dumps(evaluation.to_dict(), ensure_ascii=False, indent=1)
        file.write(summary.encode() + b"\n")


def read_runs(path: Path) -> dict[str, Mapping[str, Mapping[str, float]]]:
    """Read the values of every query of one or several runs.

    Args:
        path: A folder that `write_evaluation` wrote, or one file of its runs.

    Returns:
        Per name of a run and query_id, the value of each metric.

    Raises:
        QueryError: When there is no run.
    """
    files = [path] if path.is_file() else sorted((path / RUNS).glob(f"*{SUFFIX}"))
    if not files:
        raise QueryError(
            f"{path} holds no evaluation: name the folder of one, or a file in its runs"
        )
    return {file.name.removesuffix(SUFFIX): _read(file) for file in files}


def _rows(run: EvaluationRun) -> list[dict[str, str | float | int | None]]:
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


def _rank(value: float) -> int | None:
    return int(value) if math.isfinite(value) else None


def _read(path: Path) -> dict[str, dict[str, float]]:
    run = {}
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                query_id = row.pop(QUERY_ID)
                row.pop(RANK)
                run[query_id] = {name: float(value) for name, value in row.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise QueryError(
            f"{path} is no run of an evaluation; name a file in the runs of one"
        ) from error
    return run
