"""The HTML report of an evaluation."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mm_milvus.evaluation.metrics import RANK
from mm_milvus.evaluation.results import Evaluation, EvaluationRun, summarise
from mm_milvus.render.evaluation import write_report


def run(
    ndcg: list[float], ranks: list[float], *, index: str = "exact", encoder: str = "e"
) -> EvaluationRun:
    values = {"ndcg@10": np.array(ndcg), RANK: np.array(ranks)}
    ids = [f"query <{number}>" for number in range(len(ndcg))]
    return summarise("text_to_image", encoder, None, index, ids, values, seed=0)


def page(tmp_path: Path, *runs: EvaluationRun, **facts: object) -> str:
    encoders = list(dict.fromkeys(run.encoder for run in runs))
    evaluation = Evaluation("a & <b>", encoders, depth=50, cuts=(10,), seed=0, runs=list(runs))
    for name, value in facts.items():
        setattr(evaluation, name, value)
    write_report(tmp_path / "report.html", evaluation)
    return (tmp_path / "report.html").read_text()


class Nesting(HTMLParser):
    """Fails where the element that is closed is not the last one opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 - HTMLParser calls it so
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_texts_are_escaped_and_elements_nested(tmp_path):
    text = page(tmp_path, run([0.5, 1], [3, 1]), texts={"query <0>": "<script>"}, remarks=["<i>"])
    for hostile in ("<b>", "<script>", "<i>", "query <"):
        assert hostile not in text.partition("<body>")[2].replace("<b>0.", "")
    parser = Nesting()
    parser.feed(text)
    assert parser.open == []


def test_the_hardest_queries_come_first_and_solved_ones_are_left_out(tmp_path):
    text = page(tmp_path, run([1, 0.5, 0, 0.4], [1, 2, np.inf, 9]))
    hardest = text.partition("<details")[2]
    places = [hardest.index(f"query &lt;{number}&gt;") for number in (2, 3, 1)]
    assert places == sorted(places)
    assert "query &lt;0&gt;" not in hardest
    assert "&gt;50" in hardest
    assert "<details" not in page(tmp_path, run([1, 1], [1, 1]))


def test_runs_name_their_encoders_and_the_best_value_is_bold(tmp_path):
    text = page(
        tmp_path, run([0.2, 0.2], [5, 5], encoder="small"), run([0.9, 0.9], [1, 1], encoder="large")
    )
    assert "large · exact" in text
    assert "<b>0.900</b>" in text
    assert "<b>0.200</b>" not in text


@pytest.mark.parametrize("value", [0.0, 1.0, 0.3])
def test_a_single_value_can_be_drawn(tmp_path, value):
    text = page(tmp_path, run([value], [np.inf]), run([value], [np.inf], index="FLAT"))
    assert "nan" not in text.partition("<body>")[2]
    assert text.count("<circle") == 2
