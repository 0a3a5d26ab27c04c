"""What a search takes: every common form of a part; and nothing else gets past the checks."""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mm_milvus import (
    Condition,
    OptionError,
    Query,
    QueryError,
    SearchClient,
    SearchOptions,
    StoreError,
    embed_images,
    ingest,
    load_image,
)
from mm_milvus.search.rerank import Diversity, parse_rerank
from mm_milvus.search.space import VectorCache
from plain_encoder import PlainEncoder

pytestmark = pytest.mark.engines("lite")
"""A server takes seconds to store each dataset; what it does differently is tested elsewhere."""


@pytest.fixture(scope="module")
def client(emoji, tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    (root / "items").mkdir()
    for path in sorted((emoji / "images").glob("d*.png"))[:8]:
        (root / "items" / path.name).write_bytes(path.read_bytes())
        (root / "items" / f"{path.stem}.txt").write_text(path.stem)
    ingest(root / "items", store=root / "x.db", dataset="d", model=PlainEncoder())
    with SearchClient(root / "x.db", "d", encoder=PlainEncoder()) as client:
        yield client


class Upload:
    """What Starlette and FastAPI give: `read` is a coroutine, and `file` an open file."""

    def __init__(self, data: bytes) -> None:
        self.file = tempfile.SpooledTemporaryFile()  # noqa: SIM115 - the test is as long as it
        self.file.write(data)

    async def read(self) -> bytes:
        raise AssertionError("nobody awaits it")


class OnlyRead:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self) -> bytes:
        return self._data


FORMS_OF_AN_IMAGE = {
    "str": str,
    "Path": Path,
    "bytes": lambda path: path.read_bytes(),
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "file": lambda path: path.open("rb"),
    "file with read alone": lambda path: OnlyRead(path.read_bytes()),
    "upload": lambda path: Upload(path.read_bytes()),
    "object with a file": lambda path: SimpleNamespace(file=io.BytesIO(path.read_bytes())),
    "PIL image": Image.open,
    "array": lambda path: np.asarray(load_image(path)),
}


@pytest.mark.parametrize("form", FORMS_OF_AN_IMAGE)
def test_every_form_of_an_image_finds_the_image(client, emoji, form):
    path = sorted((emoji / "images").glob("d*.png"))[3]
    make = FORMS_OF_AN_IMAGE[form]
    assert client.search(image=make(path), top_k=1)[0].item_id == path.name
    # Read once, a file can be searched with any number of times.
    query = Query.of(image=(make(path) for _ in range(2)))
    assert [hits[0].item_id for hits in client.search_many([query, query])] == [path.name] * 2
    np.testing.assert_array_equal(
        embed_images(client.encoder, [make(path)]), embed_images(client.encoder, [path])
    )


@pytest.mark.parametrize("several", [list, tuple, iter, set, frozenset, dict.fromkeys("x").keys])
def test_parts_may_come_in_any_iterable(client, several):
    if several in (list, tuple, iter, set, frozenset):
        assert client.search(several(["dog"])) == client.search("dog")
        assert client.search("dog", minus=several(["cat"])) == client.search("dog", minus="cat")
        item = client.search("dog")[0].item_id
        assert client.search(like=several([item])) == client.search(like=item)
        assert client.search_many(several([Query.of("dog")])) == [client.search("dog")]
        where = several(["item exists"]) if several is not iter else iter(())
        assert SearchOptions(where=where).where in ((), ("item exists",))
    else:
        assert Query.of(several()) == Query.of("x")


def test_none_stands_for_nothing_and_one_value_for_several(client):
    plain = client.search("dog")
    nothing: dict[str, Any] = dict.fromkeys(("image", "like", "minus", "weights", "options"))
    assert client.search("dog", **nothing) == plain
    nothing = dict.fromkeys(("where", "filter", "caption_has", "fusion_weights", "rerank"))
    assert client.search("dog", **nothing, min_score=None) == plain
    assert client.search("dog", weights=2) == plain
    assert client.search("dog", weights=Fraction(1, 3)) == plain
    assert Query(texts="dog") == Query.of("dog") == Query(texts=["dog"])
    assert SearchOptions(where="a=1").where == ("a=1",)
    condition = Condition("a", "=", 1)
    assert SearchOptions(where=condition).where == (condition,)
    assert SearchOptions(top_k=np.int64(3), min_score=np.float32(0.5)).top_k == 3


def test_a_rerank_stage_may_be_given_as_its_text(client):
    assert SearchOptions(rerank="mmr:0.5").rerank == (Diversity(0.5),)
    assert SearchOptions(rerank=["exact", Diversity(0.3)]).rerank == (
        parse_rerank("exact"),
        Diversity(0.3),
    )
    by_text = client.search("dog", rerank=["mmr:0.2"])
    assert by_text == client.search("dog", rerank=[parse_rerank("mmr:0.2")])
    with pytest.raises(OptionError, match="unknown rerank stage 'best'"):
        client.search("dog", rerank=["best"])


@pytest.mark.parametrize("queries", ["red", b"red", Query.of("red"), {"text": "red"}, 5, None])
def test_search_many_refuses_what_is_no_list_of_queries(client, queries):
    with pytest.raises(QueryError, match="give a list of Query and texts"):
        client.search_many(queries)


async def read_later() -> bytes:
    return b""


class Broken:
    def read(self) -> bytes:
        raise RuntimeError("the network\nis down")


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (5, "given as int: give a path"),
        (SimpleNamespace(file=None), "given as SimpleNamespace"),
        (io.StringIO("x"), "gives str and not bytes: open it as a binary file"),
        (SimpleNamespace(read=read_later), "gives coroutine and not bytes"),
        (Broken(), "cannot be read: the network is down"),
        ([[1, 2], [3, 4]], "given as list"),
        ({"path": "a.png"}, "given as dict"),
        (io.BytesIO(), "empty"),
    ],
)
def test_an_image_that_is_none_is_refused_with_the_reason(client, image, reason):
    with pytest.raises(QueryError, match=reason) as error:
        client.search(image=image)
    assert "\n" not in str(error.value)


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.decimals(),
    st.fractions(),
    st.text(st.characters(), max_size=8),  # lone surrogates included
    st.binary(max_size=8),
    st.dates(),
    st.sampled_from(
        [
            *(object(), object, print, len, Exception(), ..., NotImplemented, b"\xff", "\0", "x\0"),
            *(np.array(5), np.zeros((2, 2)), np.zeros((2, 2, 3), np.uint8), np.array(["a"])),
            *(np.float32("nan"), np.bool_(1), np.datetime64("now"), 10**400, -(10**400), 1e308),
            *(Path("no/such.png"), Path("\0"), io.BytesIO(b"x"), io.StringIO("x"), range(3)),
            *(memoryview(b"x"), bytearray(b"x"), SimpleNamespace(file=3), Image.new("RGB", (2, 2))),
            *(Query.of("a"), SearchOptions(), Condition("a", "=", 1), parse_rerank("exact")),
        ]
    ),
)
VALUES = st.recursive(
    ANYTHING,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.sampled_from(["image", "text", "path", ""]), inner, max_size=2),
        st.builds(iter, st.lists(inner, max_size=2)),
    ),
    max_leaves=4,
)


def is_documented(call) -> None:
    """Call; any error but those that a search documents fails the test."""
    with suppress(QueryError, OptionError, StoreError):
        call()


MANY = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@MANY
@given(part=st.sampled_from(["text", "image", "like", "minus", "weights"]), value=VALUES)
def test_any_object_as_a_part_of_a_query_is_found_or_refused(client, part, value):
    other = {} if part == "text" else {"text": "dog"}
    is_documented(lambda: client.search(**{**other, part: value}))


@MANY
@given(
    name=st.sampled_from(
        [
            *("top_k", "offset", "min_score", "where", "filter", "caption_has", "fusion"),
            *("fusion_weights", "dedup", "rerank", "options"),
        ]
    ),
    value=VALUES,
)
def test_any_object_as_an_option_is_used_or_refused(client, name, value):
    if isinstance(value, Iterator):
        value = list(value)
    # A callable that is no stage fails as it likes.
    stages = value if isinstance(value, list | tuple | set | frozenset | dict) else [value]
    if name == "rerank" and any(stage in (print, len, object) for stage in stages):
        return
    is_documented(lambda: client.search("dog", **{name: value}))


@MANY
@given(value=VALUES)
def test_any_object_as_queries_is_answered_or_refused(client, value):
    is_documented(lambda: client.search_many(value))
    is_documented(lambda: client.explain(value))
    is_documented(lambda: Query.from_dict(value))


@MANY
@given(name=st.sampled_from(["store", "dataset", "encoder", "encoders"]), value=VALUES)
def test_any_object_as_an_argument_of_the_client_opens_it_or_is_refused(name, value):
    arguments = {"store": "none.db", "dataset": "d", name: value}
    is_documented(lambda: SearchClient(**arguments))


def test_a_cache_of_texts_is_bounded_by_bytes():
    calls = []

    def encode(text):
        calls.append(text)
        return np.zeros(4, np.float32)

    cache = VectorCache(encode, max_bytes=1000)
    texts = [f"text {n}" for n in range(100)]
    for text in texts:
        cache(text)
    assert len(calls) == 100
    cache(texts[-1])
    assert len(calls) == 100
    cache(texts[0])
    assert len(calls) == 101
    cache("x" * 5000)
    assert cache("x" * 5000) is not None
    assert calls.count("x" * 5000) == 2
    cache(texts[0])
    cache(texts[0])
    assert calls.count(texts[0]) == 3


def test_an_upload_is_read_when_the_query_is_made(client, emoji):
    """It may be closed when the search runs, in another thread."""
    upload = Upload(next((emoji / "images").glob("d*.png")).read_bytes())
    query = Query.of(image=upload)
    upload.file.close()
    assert asyncio.run(asyncio.to_thread(client.search_many, [query]))
