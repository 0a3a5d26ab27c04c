"""Filters: typed, safe in every sign, and the same on every engine."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_milvus.errors import QueryError
from mm_milvus.filters import Condition, parse_condition, render

words = st.text(alphabet=st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("price<50", Condition("price", "<", 50)),
        ("price <= 49.90", Condition("price", "<=", 49.9)),
        ("stock>=-3", Condition("stock", ">=", -3)),
        ("color=red", Condition("color", "=", "red")),
        ("color == red", Condition("color", "=", "red")),
        ("color!=dark red", Condition("color", "!=", "dark red")),
        ("tags has sale", Condition("tags", "has", "sale")),
        ("new=true", Condition("new", "=", True)),
        ("size.eu>42", Condition("size.eu", ">", 42)),
        ('size="42"', Condition("size", "=", "42")),
        ('name="O\'Neil"', Condition("name", "=", "O'Neil")),
        (r"name='O\'Neil'", Condition("name", "=", "O'Neil")),
        ('name=""', Condition("name", "=", "")),
        ("größe=große", Condition("größe", "=", "große")),
        ("url=http://a/b?c=d", Condition("url", "=", "http://a/b?c=d")),
        ("hashas has 3", Condition("hashas", "has", 3)),
    ],
)
def test_a_condition_is_read_as_it_is_meant(text, condition):
    parsed = parse_condition(text)
    assert parsed == condition
    assert type(parsed.value) is type(condition.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("price<<50", "expected a value, found '<', at character 7"),
        ("price", "expected KEY OP VALUE, at character 6"),
        ("price<", "expected a value, at character 7"),
        ("", "expected KEY OP VALUE, at character 1"),
        ("=5", "expected KEY OP VALUE, at character 1"),
        ('name="open', 'the quote " is not closed at the end, at character 6'),
        ("price=nan", "nan compares with nothing"),
        ("price=1e999", "inf compares with nothing"),
        ("n=99999999999999999999", "does not fit into 64 bits"),
        ("new<true", "true and false have no order"),
        ("a..b=1", "is no metadata key"),
    ],
)
def test_a_bad_condition_is_refused_at_its_place(text, place):
    with pytest.raises(QueryError) as error:
        parse_condition(text)
    assert place in str(error.value)
    assert "\n" not in str(error.value)


@given(words)
def test_any_text_is_read_or_refused(text):
    with suppress(QueryError):
        assert parse_condition(text).field in text


@given(words)
def test_a_quoted_value_is_read_back_whole(value):
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_condition(f'name="{quoted}"').value == value


@given(words)
def test_a_rendered_string_cannot_end_its_literal(value):
    expression = render([Condition("name", "=", value)], {})
    head = 'metadata["name"] == "'
    assert expression.startswith(head)
    inside = expression[len(head) : -1]
    assert expression[-1] == '"'
    unescaped = inside.replace("\\\\", "")
    assert '"' not in unescaped.replace('\\"', "")
    assert "\n" not in inside


def test_conditions_are_joined_and_columns_are_plain():
    conditions = [Condition("price", "<", 50), Condition("tags", "has", "sale")]
    assert render(conditions, {"price": "double"}) == (
        'price < 50 and json_contains(metadata["tags"], "sale")'
    )
    assert render(conditions[:1], {}) == 'metadata["price"] < 50'
    assert render([], {}) == ""


@pytest.mark.parametrize(
    ("kind", "value"),
    [("double", "x"), ("varchar", 3), ("int64", 1.5), ("bool", 1), ("int64", True)],
)
def test_a_value_that_does_not_fit_its_column_is_refused(kind, value):
    with pytest.raises(QueryError, match=f"k is a column of type {kind}"):
        render([Condition("k", "=", value)], {"k": kind})


NASTY = [
    "plain", "it's", 'say "hi"', "back\\slash", "end\\", "tab\there", "new\nline", "cr\rx", "é",
    "e\u0301", "日本", "👗", "\x01", "\x00z", "\b\f", "{x}", "{}", "%d", "a and b", '" or id != "',
    '\\"', "\\u0041", "\\n", "/", "\x7f", "\u2028", "mixed '\"", "null", "true", "42", " 42 ", "",
    " ", "--", "metadata", "json_contains", "\\\\", "\ufeff", "🏳️‍🌈", "\u202eabc", "like", "%",
]  # fmt: skip


@pytest.fixture(scope="module")
def values():
    generated = st.text(alphabet="\"\\'\n\t\r {}%aé👗", max_size=6).filter(
        lambda value: value not in NASTY
    )
    made: list[str] = []

    @settings(derandomize=True, database=None, max_examples=150, deadline=None)
    @given(generated)
    def collect(value):
        if value not in made:
            made.append(value)

    collect()
    return NASTY + made


def test_every_value_finds_its_own_row_alone(filled, values):
    find = filled([{"v": value, "list": [value], "deep": {"v": value}} for value in values])
    for number, value in enumerate(values):
        assert find(Condition("v", "=", value)) == {number}
        assert find(Condition("list", "has", value)) == {number}
        assert find(Condition("deep.v", "=", value)) == {number}
        assert find(Condition("v", "!=", value)) == set(range(len(values))) - {number}


def test_every_key_without_control_signs_can_be_asked_for(filled):
    keys = [k for k in NASTY if "." not in k and k.strip() and k.isprintable()]
    find = filled([{key: 1} for key in keys])
    for number, key in enumerate(keys):
        assert find(Condition(key, "=", 1)) == {number}


def test_numbers_compare_by_value_and_never_with_strings(filled):
    prices = [40, 39.5, 50, 60.5, "n/a", None, [3], "45", -1]
    rows = [{"price": price} for price in prices] + [{}]
    find = filled(rows)
    assert find(Condition("price", "<", 50)) == {0, 1, 8}
    assert find(Condition("price", ">=", 50)) == {2, 3}
    assert find(Condition("price", "=", 40)) == {0}
    assert find(Condition("price", "=", 40.0)) == {0}
    assert find(Condition("price", "=", "45")) == {7}


@pytest.fixture
def filled(uri, dataset):
    """Rows of metadata in a store; the function answers which of them meet a condition."""
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(uri=uri)
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=32)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=2)
    schema.add_field("metadata", DataType.JSON)
    index = client.prepare_index_params()
    index.add_index("embedding", index_type="FLAT", metric_type="IP")
    client.create_collection(dataset, schema=schema, index_params=index)

    def fill(rows):
        data = [
            {"id": str(number), "embedding": [1, 0], "metadata": row}
            for number, row in enumerate(rows)
        ]
        client.upsert(dataset, data)
        client.query(dataset, filter="", output_fields=["count(*)"], consistency_level="Strong")

        def find(condition):
            expression = render([condition], {})
            found = client.query(dataset, filter=expression, output_fields=["id"], limit=1000)
            return {int(row["id"]) for row in found}

        return find

    yield fill
    client.drop_collection(dataset)
    client.close()
