"""Files of queries and judgements, and messages about their errors."""

from __future__ import annotations

import pytest

from mm_milvus.errors import QueryError
from mm_milvus.evaluation.judgements import read_qrels, read_queries
from mm_milvus.search.query import Query


@pytest.fixture
def write(tmp_path):
    def write(text: str, encoding: str = "utf-8"):
        path = tmp_path / "file"
        path.write_text(text, encoding=encoding)
        return path

    return write


def test_a_query_has_a_text_an_image_or_both(write, tmp_path):
    path = write(
        '{"query_id": "a", "text": "red dress"}\n\n'
        '{"query_id": 7, "image": "pictures/dress.png"}\n'
        '{"query_id": "c", "text": "in blue", "image": "dress.png", "minus": "red"}\n'
    )
    text, image, both = read_queries(path)
    assert (text.query_id, text.query, text.direction) == (
        *("a", Query.of("red dress")),
        "text_to_item",
    )
    assert (image.query_id, image.query, image.direction) == (
        *("7", Query.of(image=tmp_path / "pictures/dress.png")),
        "image_to_item",
    )
    assert both.direction == "text_and_image_to_item"
    assert both.query.minus == ("red",)


def test_qrels_have_the_format_of_trec_and_an_item_id_may_have_spaces(write):
    path = write("q1 0 a.png 1\nq1\t0\tmy dress.png\t2\r\nq2 0 b.png 0\n", "utf-8-sig")
    assert read_qrels(path) == {"q1": {"a.png": 1, "my dress.png": 2}, "q2": {"b.png": 0}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no query"),
        ("dress\n", ":1 has no query_id"),
        ("[1]\n", ":1 has no query_id"),
        ('{"text": "dress"}\n', ":1 has no query_id"),
        ('{"query_id": true, "text": "dress"}\n', ":1 has no query_id"),
        ('{"query_id": "a"}\n', ":1: the query is empty"),
        ('{"query_id": "a", "text": " "}\n', ":1: the query is empty"),
        ('{"query_id": "a", "txt": "dress"}\n', ":1: .* is no query"),
        ('{"query_id": "a", "text": "b"}\n{"query_id": "a", "text": "c"}\n', ":2 repeats"),
    ],
)
def test_a_bad_query_is_named_by_its_line(write, text, reason):
    with pytest.raises(QueryError, match=reason):
        read_queries(write(text))


@pytest.mark.parametrize("text", ["", "q1 0 a.png\n", "q1 0 a.png one\n", "q1\n"])
def test_a_bad_judgement_is_named_by_its_line(write, text):
    with pytest.raises(QueryError, match=r":1 is|holds no judgement"):
        read_qrels(write(text))


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(QueryError, match=r"cannot read .*none: No such file"):
        read_qrels(tmp_path / "none")
    (tmp_path / "latin").write_bytes(b"\xff\xfe\xe4")
    with pytest.raises(QueryError, match="not UTF-8"):
        read_queries(tmp_path / "latin")
