"""Comparisons of evaluations that were written to disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mm_milvus.errors import OutputError, QueryError
from mm_milvus.evaluation.compare import compare
from mm_milvus.evaluation.files import read_runs, write_evaluation
from mm_milvus.evaluation.metrics import RANK
from mm_milvus.evaluation.results import Evaluation, summarise


def write(
    folder: Path, hits: list[float], direction: str = "text_to_image", first: int = 0
) -> Path:
    """Write an evaluation of one run with the given ndcg@10 of each query."""
    values = {"ndcg@10": np.array(hits), RANK: np.where(np.array(hits) > 0, 1.0, np.inf)}
    query_ids = [f"q{first + number}" for number in range(len(hits))]
    run = summarise(direction, "test", None, "exact", query_ids, values, seed=0)
    write_evaluation(folder, Evaluation("d", ["test"], depth=100, cuts=(10,), seed=0, runs=[run]))
    return folder


def test_the_better_run_is_named_from_either_side(tmp_path):
    worse, better = [0.2, 0.5, 0.4] * 20, [0.4, 0.6, 0.4] * 20
    a, b = write(tmp_path / "a", better), write(tmp_path / "b", worse)
    [comparison] = compare(a, b)
    [difference] = comparison.differences
    assert (comparison.queries, comparison.unmatched) == (60, 0)
    assert (difference.a, difference.b, difference.difference) == pytest.approx(
        (0.466667, 0.366667, 0.1)
    )
    assert difference.better == "A"
    assert difference.sentence().startswith("A is better on ndcg@10 by 0.100 [0.0")
    [mirrored] = compare(b, a)[0].differences
    assert mirrored.sentence().startswith("B is better on ndcg@10 by 0.100 [0.0")


def test_random_runs_do_not_differ_significantly(tmp_path):
    generator = np.random.default_rng(0)
    a = write(tmp_path / "a", generator.random(80).tolist())
    b = write(tmp_path / "b", generator.random(80).tolist())
    [difference] = compare(a, b)[0].differences
    assert difference.better is None
    assert difference.sentence().startswith("no significant difference on ndcg@10: A - B is ")
    assert compare(a, a)[0].differences[0].p == 1


def test_only_queries_of_both_runs_are_compared(tmp_path):
    a = write(tmp_path / "a", [1.0] * 10)
    b = write(tmp_path / "b", [0.5] * 10, first=5)
    [comparison] = compare(a, b)
    assert (comparison.queries, comparison.unmatched) == (5, 10)


def test_files_of_runs_are_compared_like_folders(tmp_path):
    a = write(tmp_path / "a", [1.0] * 10)
    b = write(tmp_path / "b", [0.5] * 10)
    file = "runs/text_to_image-exact.jsonl"
    assert compare(a / file, b / file) == compare(a, b)
    assert json.loads(json.dumps(compare(a, b)[0].to_dict()))["differences"][0]["better"] == "A"


def test_values_are_read_back_unchanged(tmp_path):
    folder = write(tmp_path / "a", [1.0, 0.0, 0.25])
    [(name, run)] = read_runs(folder).items()
    assert name == "text_to_image-exact"
    assert [run[f"q{n}"]["ndcg@10"] for n in range(3)] == [1.0, 0.0, 0.25]
    results = json.loads((folder / "results.json").read_text())
    assert results["runs"][0]["metrics"] == {"ndcg@10": 0.416667, "median_rank": 1.0}


def test_runs_that_cannot_be_compared_are_rejected(tmp_path):
    a = write(tmp_path / "a", [1.0])
    with pytest.raises(QueryError, match="holds no evaluation"):
        compare(a, tmp_path / "nothing")
    with pytest.raises(QueryError, match="no query in common"):
        compare(a, write(tmp_path / "b", [1.0], first=7))
    with pytest.raises(QueryError, match="different directions"):
        compare(a, write(tmp_path / "c", [1.0], direction="image_to_text"))
    with pytest.raises(QueryError, match="is no run of an evaluation"):
        compare(a, a / "results.json")
    with pytest.raises(OutputError, match="cannot be written"):
        write(a / "results.json", [1.0])
