"""The file of `query --queries`: every line is answered or refused by itself."""

from __future__ import annotations

import codecs
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_milvus import Query, QueryError, SearchClient, SearchOptions, ingest
from mm_milvus.cli.query_file import answers, parse_lines
from mm_milvus.search.candidates import QUERIES_PER_CALL
from plain_encoder import PlainEncoder

OPTIONS = SearchOptions(top_k=2)


@pytest.fixture(scope="module")
def client(emoji, tmp_path_factory):
    root = tmp_path_factory.mktemp("queries")
    (root / "items").mkdir()
    for name in ("dog", "dress", "pizza"):
        (root / "items" / f"{name}.png").write_bytes(
            (emoji / "images" / f"{name}.png").read_bytes()
        )
        (root / "items" / f"{name}.txt").write_text(name)
    ingest(root / "items", store=root / "x.db", dataset="d", model=PlainEncoder())
    with SearchClient(root / "x.db", "d", encoder=PlainEncoder()) as client:
        yield client


def parsed(data: bytes) -> list[Query | str]:
    return [line.query or line.error for line in parse_lines(io.BytesIO(data))]


TEXTS = st.text(min_size=1).filter(lambda text: text.strip())


@given(texts=st.lists(TEXTS), bom=st.booleans(), crlf=st.booleans(), ascii_=st.booleans())
def test_every_text_in_json_is_one_query(texts, bom, crlf, ascii_):
    """Whatever separates lines in Unicode: only a line feed does in a file."""
    lines = [json.dumps(text, ensure_ascii=ascii_ or not text.isprintable()) for text in texts]
    end = "\r\n" if crlf else "\n"
    data = end.join(lines).encode()
    assert parsed(codecs.BOM_UTF8 * bom + data) == [Query.of(text) for text in texts]


@given(
    texts=st.lists(
        st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\n"), min_size=1)
    )
)
def test_a_line_that_is_no_json_is_a_text(texts):
    texts = [f"a {text}" for text in texts]
    assert parsed("\n".join(texts).encode()) == [Query.of(text.strip()) for text in texts]


def test_plain_lines_numbers_and_separators_of_unicode():
    data = 'red dress\n5\nnull\r\n\n  \n"a\u2028b"\na\u0085b\n{"text": "x\u2029y"}\nlast'.encode()
    texts = ["red dress", "5", "null", "a\u2028b", "a\u0085b", "x\u2029y", "last"]
    assert parsed(data) == [Query.of(text) for text in texts]


BAD = {
    b'{"video": 1}': "is no query: write a JSON object of text, image",
    b'{"text": "a"': "it begins as JSON and is not",
    b'"red" dress': "it begins as JSON and is not",
    b"[[[[": "it begins as JSON and is not",
    b'["red", "blue"]': "is no query",
    b"[" * 100_000: "it begins as JSON and is not",
    b'{"like": 5}': "int is no item",
    b'{"text": 5}': "given as int",
    b'{"text": "a", "weights": "heavy"}': "given as str",
    b'{"image": {"a": 1}}': "given as dict",
    b'{"image": "no-such.png"}': "no such file",
    b'{"like": "nobody"}': "no item 'nobody'",
    b"{}": "the query is empty",
    b"\xff\xfe": "it is not UTF-8",
    b"red \xe9": "it is not UTF-8",
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_line_is_one_error_and_the_others_are_answered(client, bad):
    data = b"dog\n\n" + bad + b"\npizza\n"
    first, error, last = answers(client, parse_lines(io.BytesIO(data)), OPTIONS)
    assert error == {"line": 3, "error": error["error"]}
    assert BAD[bad] in error["error"]
    assert "\n" not in error["error"]
    for answer, text in ((first, "dog"), (last, "pizza")):
        assert answer["query"] == {"text": [text]}
        assert [hit["item_id"] for hit in answer["hits"]] == [
            hit.item_id for hit in client.search(text, top_k=2)
        ]


def test_many_lines_are_answered_in_their_order(client):
    lines = [b'{"like": "nobody"}\n' if n % 50 == 7 else b"dog %d\n" % n for n in range(150)]
    assert len(lines) > 2 * QUERIES_PER_CALL
    found = list(answers(client, parse_lines(lines), OPTIONS))
    for n, answer in enumerate(found):
        if n % 50 == 7:
            assert answer["line"] == n + 1
        else:
            assert answer["query"] == {"text": [f"dog {n}"]}
    assert len(found) == 150


@pytest.mark.parametrize("options", [{"where": ["price<<3"]}, {"filter": "price <"}])
def test_an_option_that_refuses_every_query_ends_the_run(client, options):
    lines = parse_lines([b"dog\n", b'{"like": "nobody"}\n'])
    with pytest.raises(QueryError, match="filter"):
        list(answers(client, lines, SearchOptions(**options)))


def test_an_empty_file_has_no_answers(client):
    assert list(answers(client, parse_lines([]), OPTIONS)) == []
    assert list(answers(client, parse_lines([b"\n", b" \n"]), OPTIONS)) == []
