"""Filters: typed, safe for every character, and the same on every engine."""

from __future__ import annotations

import random
import re
from contextlib import suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mm_milvus.errors import QueryError
from mm_milvus.filters.columns import FilterColumns
from mm_milvus.filters.condition import OPERATORS, Condition
from mm_milvus.filters.expression import render
from mm_milvus.filters.parse import parse_condition
from mm_milvus.limits import MISSING, column_value

words = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
anything = st.text(alphabet=st.characters())
numbers = st.integers(1 - 2**63, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def conditions(draw):
    field, op, value = draw(words), draw(st.sampled_from(OPERATORS)), draw(words | numbers)
    try:
        return Condition(field, op, value)
    except QueryError:
        return assume(False)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("price<50", Condition("price", "<", 50)),
        ("price <= 49.90", Condition("price", "<=", 49.9)),
        ("price>.5", Condition("price", ">", 0.5)),
        ("price<1e3", Condition("price", "<", 1000.0)),
        ("stock>=-3", Condition("stock", ">=", -3)),
        ("  color = red  ", Condition("color", "=", "red")),
        ("color == red", Condition("color", "=", "red")),
        ("color!=dark red", Condition("color", "!=", "dark red")),
        ("tags has sale", Condition("tags", "has", "sale")),
        ("tags has a<b", Condition("tags", "has", "a<b")),
        ("new=true", Condition("new", "=", True)),
        ("new=False", Condition("new", "=", False)),
        ("size.eu>42", Condition("size.eu", ">", 42)),
        ("shoe size>42", Condition("shoe size", ">", 42)),
        ('size="42"', Condition("size", "=", "42")),
        ('new="true"', Condition("new", "=", "true")),
        ("zip=00501", Condition("zip", "=", "00501")),
        ("phone=+49", Condition("phone", "=", "+49")),
        ("n=1_000", Condition("n", "=", "1_000")),
        ("n=٣", Condition("n", "=", "٣")),
        ('name="O\'Neil"', Condition("name", "=", "O'Neil")),
        (r"name='O\'Neil'", Condition("name", "=", "O'Neil")),
        (r'path="C:\new"', Condition("path", "=", r"C:\new")),
        (r'path="C:\\"', Condition("path", "=", "C:\\")),
        ('name=""', Condition("name", "=", "")),
        ('name="nan"', Condition("name", "=", "nan")),
        ('name=" padded "', Condition("name", "=", " padded ")),
        ("größe=große 👗", Condition("größe", "=", "große 👗")),
        ("url=http://a/b?c=d", Condition("url", "=", "http://a/b?c=d")),
        ("hashas has 3", Condition("hashas", "has", 3)),
        ("has=3", Condition("has", "=", 3)),
    ],
)
def test_a_condition_is_parsed_to_its_key_operator_and_value(text, condition):
    parsed = parse_condition(text)
    assert parsed == condition
    assert type(parsed.value) is type(condition.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("price<<50", "expected a value at character 7, found '<'; write KEY OP VALUE"),
        ("price", "expected an operator at character 6, found the end"),
        ("price 50", "expected an operator at character 7, found '5'"),
        ("price!50", "expected an operator at character 6, found '!'"),
        ("price<", "expected a value at character 7, found the end"),
        ("tags has ", "expected a value at character 10, found the end"),
        ("price=>5", "expected a value at character 7, found '>'"),
        ("", "expected an operator at character 1, found the end"),
        (" =5", "expected a key at character 2, found '='"),
        ('"price"=5', "expected a key without quotes at character 1"),
        ('name="open', 'at character 6, the quote " is not closed'),
        ('name="a" b', "expected the end at character 10, found 'b'"),
        ("price=nan", "at character 7, nan compares with nothing"),
        ("price=-Infinity", "at character 7, -inf compares with nothing"),
        ("price=1e999", "at character 7, inf compares with nothing"),
        ("n=99999999999999999999", "at character 3, the number does not fit into 64 bits"),
        pytest.param(f"n={'9' * 9999}", "at character 3, the number does not fit", id="digits"),
        ("new<true", "at character 5, true and false have no order"),
        ("a..b=1", "at character 1, a key, and each part of it between dots"),
        ("a][b=1", "at character 1, Milvus cannot look up a key that contains ']['"),
        ("a\nb\x01=1", "filter 'a�b�=1': at character 1, Milvus cannot look up"),
        ("a=\ud800", "at character 3, the value is not valid Unicode"),
        ("\ud800=1", "at character 1, the key is not valid Unicode"),
    ],
)
def test_a_bad_condition_is_rejected_with_the_position_of_the_fault(text, message):
    with pytest.raises(QueryError) as error:
        parse_condition(text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (("price", "~", 1), "unknown operator '~'"),
        (("", "=", 1), "has at least one character"),
        (("price", "<", float("inf")), "inf compares with nothing"),
        (("price", "<", 2**63), "does not fit into 64 bits"),
        (("price", "<", -(2**63)), "does not fit into 64 bits"),
        (("price", "=", None), "neither a string, nor a number, nor a boolean"),
    ],
)
def test_a_condition_that_is_not_parsed_is_checked_too(fields, reason):
    with pytest.raises(QueryError, match=re.escape(reason)):
        Condition(*fields)


def parse_error(text):
    try:
        parse_condition(text)
    except QueryError as error:
        return str(error)
    return ""


@given(anything)
def test_any_text_is_parsed_or_rejected_with_one_line(text):
    assert parse_error(text).isprintable()


@given(conditions())
def test_a_condition_is_parsed_back_from_its_text(condition):
    key = condition.field
    assume(key == key.strip() and key[0] not in "\"'")
    assume(not re.search(r"[=!<>]|\shas(\s|$)", key))
    assert parse_condition(str(condition)) == condition


LITERAL = re.compile(r'"(?:[^"\\\r\n]|\\["\\nrt])*"')
"""A string literal that is valid in the grammars of both engines."""


@given(conditions())
def test_no_string_reaches_the_grammar_of_the_expression(condition):
    value = "" if isinstance(condition.value, str) else 1
    harmless = Condition(re.sub(r"[^.]+", "k", condition.field), condition.op, value)

    def grammar(rendered):
        return re.sub(
            r"-?\d[\d.e+-]*", "1", LITERAL.sub('""', render([rendered], FilterColumns({})))
        )

    assert grammar(condition) == grammar(harmless)


def test_conditions_are_joined_and_promoted_keys_are_compared_as_columns():
    price, tags = Condition("price", "<", 50), Condition("tags", "has", "sale")
    assert render([price, tags], FilterColumns({"price": "double"})) == (
        'price < 50 and json_contains_any(metadata["tags"], ["sale"])'
    )
    assert render([price], FilterColumns({})) == 'metadata["price"] < 50'
    assert render([Condition("size.eu", "=", 42)], FilterColumns({"size": "int64"})) == (
        'metadata["size"]["eu"] == 42'
    )
    assert render([], FilterColumns({})) == ""


def test_a_column_named_like_a_word_of_the_grammar_is_looked_up_in_the_json():
    assert (
        render([Condition("like", ">", 3)], FilterColumns({"like": "int64"}))
        == 'metadata["like"] > 3'
    )


@pytest.mark.parametrize(
    ("kind", "value", "remedy"),
    [
        ("double", "x", "a number"),
        ("varchar", 3, "a text, in quotes"),
        ("int64", 1.5, "a whole number"),
        ("int64", True, "a whole number"),
        ("bool", 1, "true or false"),
    ],
)
def test_a_value_that_does_not_fit_its_column_is_rejected(kind, value, remedy):
    with pytest.raises(QueryError, match=f"column k is of type {kind}; compare it with {remedy}"):
        render([Condition("k", "=", value)], FilterColumns({"k": kind}))


NASTY = [
    "plain", "it's", 'say "hi"', "back\\slash", "end\\", "tab\there", "new\nline", "cr\rx", "é",
    "e\u0301", "日本", "日\\本", "👗", "\x01", "\x00z", "\b\f", "{x}", "{}", "%d", "$meta", "",
    "a and b", '" or id != "', '\\"', "\\u0041", "\\n", "\\x", "/", "~1", "\x7f", "\u2028",
    "mixed '\"", "null", "true", "42", " 42 ", " ", "--", "metadata", "json_contains", "\\\\",
    "\ufeff", "🏳️‍🌈", "\u202eabc", "like", "%", "[a]", "a[0]", "][", "a]", "ſ", "İ", "\U0010ffff",
    "\ud7ff",
]  # fmt: skip


@pytest.fixture(scope="module")
def values():
    """`NASTY`, and some hundred generated texts of the same kind."""
    texts = dict.fromkeys(NASTY)

    @settings(derandomize=True, database=None, max_examples=150, deadline=None)
    @given(st.text(alphabet="\"\\'\n\t\r {}%aé日👗", max_size=6))
    def collect(value):
        texts.setdefault(value)

    collect()
    return list(texts)


def test_every_value_finds_only_its_own_row(filled, values):
    find = filled([{"v": value, "list": [value], "deep": {"v": value}} for value in values])
    everything = set(range(len(values)))
    for number, value in enumerate(values):
        assert find(Condition("v", "=", value)) == {number}
        assert find(Condition("list", "has", value)) == {number}
        assert find(Condition("deep.v", "=", value)) == {number}
        assert find(Condition("v", "!=", value)) == everything - {number}


SIGNS = "\"\\'`\n\t\r\0 {}[]()<>=!%_$&|*/.,:;#@~^?-+aé日👗\u202e"
WORDS = ["and", "or", "not", "in", "like", "json_contains", "metadata", "null", "true", "id", "=="]


@pytest.mark.slow
def test_ten_thousand_values_find_only_their_own_rows(filled):
    chance = random.Random(0)
    values = dict.fromkeys(NASTY)
    while len(values) < 10_000:
        pieces = [
            chance.choice(WORDS) if chance.random() < 0.2 else chance.choice(SIGNS)
            for _ in range(chance.randint(1, 12))
        ]
        values.setdefault("".join(pieces))
    values = list(values)
    for start in range(0, len(values), 500):
        chunk = values[start : start + 500]
        find = filled([{"v": value, "list": [value]} for value in chunk])
        for number, value in enumerate(chunk):
            assert find(Condition("v", "=", value)) == {number}
            if number % 10 == 0:
                assert find(Condition("list", "has", value)) == {number}


def test_every_key_finds_only_its_own_row_or_is_rejected(filled, values):
    keys = []
    for value in values:
        with suppress(QueryError):
            keys.append(Condition(value, "=", 1).field)
    assert {'say "hi"', "back\\slash", "tab\there", "new\nline", "日本", "[a]"} <= {*keys}
    find = filled([{key: 1, "deep": {key: 1}} for key in keys])
    for number, key in enumerate(keys):
        assert find(Condition(key, "=", 1)) == {number}
        assert find(Condition(f"deep.{key}", "=", 1)) == {number}


def test_numbers_compare_by_value_and_never_with_another_type(filled):
    prices = [40, 39.5, 50, 60.5, "n/a", [3], {"x": 1}, "45", -1, 2**53 + 1, 2**53, 1e300, 0.1]
    find = filled([{"price": price} for price in prices])

    def matches(op, value):
        return [prices[number] for number in sorted(find(Condition("price", op, value)))]

    assert matches("<", 50) == [40, 39.5, -1, 0.1]
    assert matches("<=", 39.5) == [39.5, -1, 0.1]
    assert matches(">=", 50) == [50, 60.5, 2**53 + 1, 2**53, 1e300]
    assert matches("=", 40) == matches("=", 40.0) == [40]
    assert matches("=", -1) == matches("<", 0) == [-1]
    assert matches("=", 0.1) == [0.1]
    assert matches("=", 2**53) == matches("=", float(2**53)) == [2**53]
    assert matches(">", 2**63 - 1) == [1e300]
    assert matches(">", 1 - 2**63) == [price for price in prices if isinstance(price, int | float)]
    assert matches("=", "45") == ["45"]
    assert matches("<", "5") == ["45"]
    assert matches("!=", 40) == prices[1:]


def test_has_finds_texts_numbers_and_booleans_in_lists(filled):
    lists = [[1, "a"], [1.0], [2.0, -5], ["2", "-5"], [True], [2**53 + 1], [], "1", {"1": 1}]
    find = filled([{"list": elements} for elements in lists] + [{}])

    def matches(value):
        return [lists[number] for number in sorted(find(Condition("list", "has", value)))]

    assert [1, "a"] in matches(1)
    assert [1.0] in matches(1)
    assert matches("a") == [[1, "a"]]
    assert matches(2) == matches(2.0) == matches(-5) == [[2.0, -5]]
    assert matches("-5") == [["2", "-5"]]
    assert [True] in matches(True)
    assert matches(2**53 + 1) == [[2**53 + 1]]


def test_booleans_differ_from_texts_and_missing_keys(filled):
    find = filled([{"new": True}, {"new": False}, {"new": "true"}, {}, {"new": None}])
    assert find(Condition("new", "=", True)) == {0}
    assert find(Condition("new", "!=", True)) == {1, 2, 3, 4}
    assert find(Condition("new", "=", "true")) == {2}


def test_a_missing_key_and_null_meet_only_not_equal(filled):
    rows = [
        {"a": {"b": 1}},
        {"a": {"b": 2}},
        {"a": {"b": "x"}},
        {},
        {"a": None},
        {"a": {"b": None}},
    ]
    find = filled([*rows, {"a": 3}, {"a": {}}])
    assert find(Condition("a.b", "!=", 1)) == {1, 2, 3, 4, 5, 6, 7}
    assert find(Condition("a.b", "!=", "x")) == {0, 1, 3, 4, 5, 6, 7}
    assert find(Condition("a.b", "=", 1)) == {0}
    assert find(Condition("a.b", "<", 5)) == {0, 1}
    assert find(Condition("a.b", ">=", "")) == {2}
    assert find(Condition("a.b", "has", 1)) == set()


COLUMNS = {"price": "double", "color": "varchar", "stock": "int64", "new": "bool", "like": "int64"}

QUERIES = [
    "price<50", "price!=40", "price=39.5", "price>-1e300", 'color="red"', 'color=""', "color<s",
    "color>a", "color!=red", 'color!=""', 'color>=""', 'color="it\'s"', "stock>=3", "stock!=3",
    "stock=3.0", "stock<3", "stock<=2.5", "stock>2.5", "new=true", "new!=true",
    "new=false", "new!=false", "like>3", "like!=4",
]  # fmt: skip


def test_a_promoted_key_finds_the_same_rows_as_the_json(filled):
    rows = [
        {"price": 40, "color": "red", "stock": 3, "new": True, "like": 4},
        {"price": 39.5, "color": "it's", "stock": 4, "new": False, "like": 5},
        {"price": 60, "color": "", "stock": 2, "new": False, "like": 0},
        {"stock": 1, "new": False, "like": -1},
        {"price": None, "color": None, "stock": 0, "new": True, "like": 1},
        {},
    ]
    find = filled(rows, COLUMNS)
    for text in QUERIES:
        condition = parse_condition(text)
        in_json = find(condition)
        assert in_json
        assert find(condition, COLUMNS) == in_json, text


def stored_value(kind, value):
    fitting = column_value(kind, value, nullable=False)
    return MISSING[kind] if fitting is None else fitting


@pytest.fixture
def filled(uri, dataset):
    """A function that stores rows of metadata, and returns one that finds rows by a condition."""
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(uri=uri)

    def create(columns):
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=32)
        schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=2)
        schema.add_field("metadata", DataType.JSON)
        for name, kind in columns.items():
            limit = {"max_length": 64} if kind == "varchar" else {}
            schema.add_field(name, DataType[kind.upper()], **limit)
        index = client.prepare_index_params()
        index.add_index("embedding", index_type="FLAT", metric_type="IP")
        client.create_collection(dataset, schema=schema, index_params=index)

    def fill(rows, columns={}):  # noqa: B006 - read only
        client.drop_collection(dataset)
        create(columns)
        data = [
            {"id": str(number), "embedding": [1, 0], "metadata": row}
            | {name: stored_value(kind, row.get(name)) for name, kind in columns.items()}
            for number, row in enumerate(rows)
        ]
        client.upsert(dataset, data)
        client.query(dataset, filter="", output_fields=["count(*)"], consistency_level="Strong")

        def find(condition, columns={}):  # noqa: B006 - read only
            expression = render([condition], FilterColumns(columns))
            rows = client.query(dataset, filter=expression, output_fields=["id"], limit=1000)
            return {int(row["id"]) for row in rows}

        return find

    yield fill
    client.drop_collection(dataset)
    client.close()
