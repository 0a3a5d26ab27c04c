"""Typed columns: found in the data, and filters that give the same answers with and without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mm_milvus.errors import QueryError
from mm_milvus.filters.columns import FilterColumns
from mm_milvus.filters.condition import Condition, Filter, Group
from mm_milvus.filters.expression import render
from mm_milvus.filters.match import holds
from mm_milvus.keys import content_hash, image_key
from mm_milvus.schema import column_name
from mm_milvus.search.columns import common_columns
from mm_milvus.store.columns import MAX_COLUMNS, UnfitValues, find_columns
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import create_dataset
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.rows import Row

COLUMNS = {
    "price": "double",
    "stock": "int64",
    "color": "varchar",
    "new": "bool",
    "unit price": "double",
    "id": "varchar",
}

NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.5, 2.5, -0.5, 2**53 + 1, 2**53, 2**63 - 1, 1 - 2**63, 1e300]),
)
TEXTS = st.sampled_from(["", "a", "b", "B", "red", "2", "x" * 5000, "\U0001f457"])
VALUES = {
    "price": NUMBERS | TEXTS,
    "stock": NUMBERS | st.just(-(2**63)) | st.just([1]),
    "color": TEXTS | st.integers(0, 2),
    "new": st.booleans() | TEXTS,
    "unit price": NUMBERS,
    "id": TEXTS,
}
METADATA = st.fixed_dictionaries(
    {}, optional={key: values | st.none() for key, values in VALUES.items()}
)
OPERANDS = {"new": st.booleans() | TEXTS, "color": TEXTS, "id": TEXTS, "price": NUMBERS | TEXTS}


@st.composite
def conditions(draw):
    key = draw(st.sampled_from(sorted(COLUMNS)))
    operands = OPERANDS.get(key, NUMBERS)
    if draw(st.booleans()):
        values = draw(st.lists(operands, min_size=1, max_size=3).map(tuple))
        return Condition(key, draw(st.sampled_from(["in", "not in"])), values)
    value = draw(operands)
    ops = ["=", "!="] if isinstance(value, bool) else ["=", "!=", "<", "<=", ">", ">="]
    ops += ["starts with"] if isinstance(value, str) else []
    return Condition(key, draw(st.sampled_from(ops)), value)


filters = st.recursive(
    conditions(),
    lambda parts: st.builds(
        Group, st.sampled_from(["and", "or"]), st.lists(parts, min_size=2, max_size=3).map(tuple)
    ),
    max_leaves=4,
)


@pytest.fixture
def store(uri):
    with Store(uri) as store:
        yield store


@pytest.fixture
def manifest(dataset, store):
    return Manifest(dataset, "test", "0" * 16, 2, columns=COLUMNS, nullable=store.has_null)


@pytest.fixture
def written(store, manifest):
    """A function that replaces the rows of a dataset, as an ingest does, and returns it."""
    opened = create_dataset(store, manifest, expected_rows=0)

    def write(metadata):
        opened.images.delete([image_key(str(number)) for number in range(100)])
        unfit = UnfitValues()
        for fields in metadata:
            unfit.add(fields, manifest.columns, nullable=manifest.nullable)
        dataset = opened.with_manifest(manifest).with_unfit(unfit.families)
        rows = [row(str(number), fields) for number, fields in enumerate(metadata)]
        dataset.images.upsert(rows, manifest.columns)
        dataset.images.count()
        return dataset

    yield write
    opened.drop()


def row(item_id: str, metadata: dict) -> Row:
    vector = np.array([1, 0], dtype=np.float32)
    digest = content_hash(item_id)
    return Row(image_key(item_id), item_id, item_id, digest, digest, vector, metadata)


def find(dataset, condition: Filter, columns: FilterColumns) -> set[int]:
    expression = render([condition], columns)
    vector = np.array([[1, 0]], dtype=np.float32)
    [matches] = dataset.images.search(vector, 100, expression=expression)
    return {int(match.item_id) for match in matches}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_filter_finds_what_plain_python_finds(written, data):
    rows = data.draw(st.lists(METADATA, min_size=1, max_size=20))
    dataset = written(rows)
    columns = common_columns([dataset.manifest])
    for condition in data.draw(st.lists(filters, min_size=1, max_size=20)):
        expected = {number for number, fields in enumerate(rows) if holds(condition, fields)}
        try:
            assert find(dataset, condition, columns) == expected, (condition, rows)
        except QueryError:
            # Nothing of a condition's type is stored: only its opposite could be met.
            if isinstance(condition, Condition):
                assert expected == set() or condition.is_negative, (condition, rows)


@pytest.mark.engines("lite")
def test_whether_a_key_exists_is_answered_by_its_column(written):
    dataset = written([{"price": 1.5}, {"price": None}, {}, {"color": "red", "price": 0}])
    columns = common_columns([dataset.manifest])
    assert render([Condition("price", "exists")], columns) == "price is not null"
    assert find(dataset, Condition("price", "exists"), columns) == {0, 3}
    assert find(dataset, Condition("color", "not exists"), columns) == {0, 1, 2}
    mixed = written([{"price": 1.5}, {"price": "sold out"}, {}])
    columns = common_columns([mixed.manifest])
    assert find(mixed, Condition("price", "exists"), columns) == {0, 1}


def test_the_columns_of_several_encoders_are_those_that_all_have(manifest):
    other = replace(
        manifest, columns={"price": "double", "stock": "double"}, unfit={"price": ["text"]}
    )
    columns = common_columns([manifest, other])
    assert columns == FilterColumns(
        {"price": "double"}, {"price": {"text"}}, nullable=manifest.nullable
    )
    assert common_columns([manifest, replace(other, nullable=not manifest.nullable)]).types == {}


def test_one_bad_cell_leaves_the_column_to_the_others(written):
    rows = [{"price": number} for number in range(5)] + [{"price": "n/a"}, {}, {"price": None}]
    dataset = written(rows)
    columns = common_columns([dataset.manifest])
    assert dataset.manifest.unfit == {"price": ["text"]}
    assert "metadata" not in render([Condition("price", "<", 3)], columns)
    assert find(dataset, Condition("price", "<", 3), columns) == {0, 1, 2}
    assert find(dataset, Condition("price", "=", "n/a"), columns) == {5}
    assert find(dataset, Condition("price", "!=", 3), columns) == {0, 1, 2, 4, 5, 6, 7}


def test_what_two_ingests_found_unfit_is_kept(written):
    dataset = written([{"price": "n/a"}])
    concurrent = replace(dataset, manifest=replace(dataset.manifest, unfit={}))
    assert concurrent.with_unfit({"stock": ["number"]}).manifest.unfit == {
        "price": ["text"],
        "stock": ["number"],
    }


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, None], "int64"),
        ([1, 2.5], "double"),
        ([1, 2**64 - 1], "double"),
        (["a", "b", 3], "varchar"),
        ([1.5, 2.5, "n/a"], "double"),
        ([True, False], "bool"),
        ([True, 1], None),
        ([[1], [2]], None),
        ([{"a": 1}], None),
        ([None], None),
        (["x" * 2000], None),
    ],
)
def test_the_type_of_a_column_is_that_of_most_values(values, kind):
    found = find_columns({"key": value} for value in values)
    assert found == ({} if kind is None else {"key": kind})


def test_the_most_frequent_keys_become_columns():
    rare, *frequent = [f"key {number}" for number in range(MAX_COLUMNS + 1)]
    found = find_columns([dict.fromkeys([rare, *frequent], 1), dict.fromkeys(frequent, 1)])
    assert list(found) == frequent
    assert find_columns([{"dc.creator": "x", "": 1}]) == {}


@given(st.lists(METADATA, max_size=20))
def test_a_value_of_a_found_column_is_in_it_or_is_counted(rows):
    columns = find_columns(rows)
    unfit = UnfitValues()
    for fields in rows:
        unfit.add(fields, columns, nullable=True)
    for key in columns:
        of_key = [fields[key] for fields in rows if fields.get(key) is not None]
        stored = [
            value
            for fields in rows
            if (value := row("a", fields).to_milvus(columns, nullable=True)[column_name(key)])
            is not None
        ]
        assert len(stored) + unfit.counts[key] == len(of_key)
        assert all(value in of_key for value in stored)
