"""Metadata is stored unchanged, or is one reject with the reason, whatever JSON it is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mm_milvus.errors import ItemError
from mm_milvus.keys import image_key
from mm_milvus.limits import parse_metadata
from mm_milvus.schema import Field
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import create_dataset
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.rows import Row

TEXTS = st.text(st.characters(exclude_categories=()), max_size=12)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**62, 2**70)
    | st.integers(-(2**70), -(2**62))
    | st.floats()
    | TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=5)


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    with Store(str(tmp_path_factory.mktemp("limits") / "store.db")) as store:
        manifest = Manifest(dataset="any", encoder="x", encoder_fingerprint="0" * 16, dim=4)
        yield create_dataset(store, manifest, expected_rows=10).images


def nested(depth: int) -> dict:
    value: object = 1
    for number in range(depth):
        value = {"a": value} if number % 2 else [value]
    return {"k": value}


@settings(
    deadline=None,
    max_examples=200,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(OBJECTS, st.booleans())
@example({"sha": 2**128 - 1}, True)
@example({"k": [-(2**63) - 1]}, True)
@example({"k": 2**64 - 1, "l": -(2**63)}, True)
@example({"k": "\ud800"}, True)
@example({"\udfff": 1}, False)
def test_any_json_is_stored_unchanged_or_rejected(collection, value, ascii_only):
    check_stored_or_rejected(collection, value, ascii_only)


@pytest.mark.parametrize("depth", [50, 300, 900])
def test_nested_json_is_stored_unchanged_or_rejected(collection, depth):
    check_stored_or_rejected(collection, nested(depth), True)


def check_stored_or_rejected(collection, value, ascii_only) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    reason = ""
    try:
        metadata = parse_metadata(text)
    except ItemError as error:
        reason = str(error)
    if reason:
        assert "\n" not in reason
        return
    key = image_key(text)
    vector = np.array([1, 0, 0, 0], np.float32)
    collection.upsert([Row(key, "item", "uri", "h", "d", vector, metadata)], {})
    [row] = collection.get([key], [Field.METADATA])
    assert row[Field.METADATA] == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"sha": 340282366920938463463374607431768211455}', "the integer 3402823669209384634633"),
        ('{"k": [{"deep": -9223372036854775809}]}', "the integer -9223372036854775809"),
        ('{"k": ' + "9" * 10_000 + "}", "the integer 9999"),
        ('{"k": 1e400}', "the number 1e400, which is too large"),
        (r'{"k": "\ud800"}', "not valid Unicode"),
        ('{"k": "\ud800"}', "not valid Unicode"),
        ('{"k": ' + "[" * 100_000 + "]" * 100_000 + "}", "metadata is 200,007 bytes long"),
        ('{"k": ' + "[" * 30_000 + "]" * 30_000 + "}", "metadata is not JSON"),
    ],
)
def test_what_no_engine_stores_is_rejected_with_the_reason(text, reason):
    with pytest.raises(ItemError, match=reason):
        parse_metadata(text)


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 0, -1])
def test_integers_of_64_bits_are_taken(number):
    assert parse_metadata(json.dumps({"k": number})) == {"k": number}
