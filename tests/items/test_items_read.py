"""Stored items are read whole, in the order that is promised, and in bounded pieces."""

from __future__ import annotations

import asyncio
import sys

import pyarrow as pa
import pytest

from encoded_items import EncodedItem, numbered, vector
from mm_milvus import AsyncSearchClient, StoredItem
from mm_milvus.errors import MissingExtraError, OptionError, QueryError
from mm_milvus.items import table
from mm_milvus.keys import caption_key, image_key
from mm_milvus.store import read

pytestmark = pytest.mark.engines("lite")
"""A server takes seconds to store each dataset; what it does differently is tested elsewhere."""


def as_stored(item: EncodedItem) -> StoredItem:
    return StoredItem(item.item_id, item.uri, tuple(item.captions), dict(item.metadata))


def ids_in_order(items: list[EncodedItem]) -> list[str]:
    """Return the ids in the order of a list: with an image first, each by the primary key."""
    images = [item.item_id for item in items if item.has_image]
    others = [item.item_id for item in items if not item.has_image]
    return [*sorted(images, key=image_key), *sorted(others, key=lambda id_: caption_key(id_, 0))]


def ids_of(batches) -> list[str]:
    return [id_ for batch in batches for id_ in batch.column("item_id").to_pylist()]


def test_items_are_returned_in_the_order_of_the_ids(client):
    items = numbered(20)
    opened = client(items)
    asked = ["item 7", "nobody", "item 0", "item 7", "item 13"]
    assert opened.get(asked) == [
        as_stored(items[int(name.split()[1])]) if name != "nobody" else None for name in asked
    ]
    assert opened.get("item 3") == [as_stored(items[3])]
    assert opened.get([]) == []
    for bad in ([3], [""], [None]):
        with pytest.raises(QueryError, match="the id of an item is a text"):
            opened.get(bad)


def test_an_item_of_many_captions_is_returned_whole(client):
    captions = [f"caption {n}" for n in range(23)]
    opened = client([EncodedItem("a", captions), EncodedItem("b", captions[:3], has_image=False)])
    a, b = opened.get(["a", "b"])
    assert [*a.captions] == captions
    assert [*b.captions] == captions[:3]


@pytest.mark.parametrize("page_rows", [1, 7, 10_000])
def test_all_items_are_read_once_in_the_order_of_their_keys(client, monkeypatch, page_rows):
    monkeypatch.setattr(read, "PAGE_ROWS", page_rows)
    items = numbered(60)
    opened = client(items)
    assert ids_of(opened.items()) == ids_in_order(items)
    rows = opened.items().to_table().to_pylist()
    by_id = {item.item_id: item for item in items}
    assert [row["captions"] for row in rows] == [[*by_id[r["item_id"]].captions] for r in rows]


@pytest.mark.engines("lite", "server")
@pytest.mark.parametrize("limit", [1, 7, 100])
def test_pages_make_up_the_whole(client, limit):
    items = numbered(40)
    opened = client(items)
    seen: list[str] = []
    while page := ids_of(opened.items(after=seen[-1] if seen else "", limit=limit)):
        assert len(page) <= limit
        seen += page
    assert seen == ids_in_order(items)


def test_a_page_cannot_follow_an_unknown_item(client):
    opened = client(numbered(3))
    with pytest.raises(QueryError, match=r"no item 'nobody'.*to continue after"):
        ids_of(opened.items(after="nobody"))


def test_conditions_select_the_same_items_in_every_method(client):
    items = numbered(40)
    opened = client(items)
    for conditions, expected in [
        ({"where": ["price<10"]}, {*range(10)}),
        ({"where": ["price<10 and color=red"]}, {0, 2, 4, 6, 8}),
        ({"where": ["size.eu>=35"]}, {35, 36, 37, 38, 39}),
        ({"filter": 'item_id == "item 5"'}, {5}),
        ({"caption_has": "caption 7."}, {7}),
        ({"where": ["color=blue"], "caption_has": ".2"}, {n for n in range(40) if n % 4 == 3}),
        ({}, {*range(40)}),
    ]:
        names = {f"item {n}" for n in expected}
        assert {*ids_of(opened.items(**conditions))} == names, conditions
        assert opened.count(**conditions) == len(names), conditions


def test_a_bad_condition_or_column_is_reported_before_anything_is_read(client):
    opened = client(numbered(3))
    with pytest.raises(QueryError, match="similar keys: 'price'"):
        opened.count(where=["prise<3"])
    with pytest.raises(QueryError, match="Milvus refused the filter"):
        opened.count(filter="nobody == 3")
    with pytest.raises(QueryError, match="Milvus refused the filter"):
        ids_of(opened.items(filter="nobody == 3"))
    with pytest.raises(QueryError, match=r"column 'prise': .*similar keys: 'price'"):
        opened.items(columns=["prise"])
    with pytest.raises(OptionError, match="twice"):
        opened.items(columns=["uri", "uri"])
    with pytest.raises(OptionError, match="empty"):
        opened.items(columns=[])
    with pytest.raises(OptionError, match="-1"):
        opened.items(limit=-1)
    with pytest.raises(QueryError, match="one or the other"):
        opened.items(["item 1"], where=["price=1"])


def test_columns_are_fields_and_typed_keys_of_the_metadata(client):
    items = [
        EncodedItem("a", ["x"], {"price": 1.5, "n": 3, "name": "é", "new": True, "odd": 1}),
        EncodedItem("b", [], {"price": 2.0, "odd": "text", "tags": ["p", 1], "in": {"side": 7}}),
    ]
    opened = client(items)
    table = opened.items(
        ["a", "b"], columns=["price", "item_id", "n", "name", "new", "odd", "tags", "in.side"]
    ).to_table()
    by_engine = {
        "lite": [pa.float64(), pa.int64(), pa.string(), pa.bool_()],
        "server": [pa.string()] * 4,  # Milvus 2.3 has no null, so keys have no columns
    }
    typed = [table.schema.field(name).type for name in ("price", "n", "name", "new")]
    nullable = opened._index.manifest.nullable
    assert typed == by_engine["lite" if nullable else "server"]
    assert table.column("item_id").to_pylist() == ["a", "b"]
    assert table.column("price").to_pylist() == ([1.5, 2.0] if nullable else ["1.5", "2.0"])
    assert table.column("name").to_pylist() == ["é", None]
    assert table.column("odd").to_pylist() == ["1", "text"]
    assert table.column("tags").to_pylist() == [None, '["p", 1]']
    assert table.column("in.side").to_pylist() == [None, "7"]


def test_vectors_are_read_unchanged(client):
    items = numbered(12)
    opened = client(items)
    columns = ["item_id", "image_embedding", "caption_embeddings"]
    for row in opened.items(columns=columns).to_table().to_pylist():
        item = items[int(row["item_id"].split()[1])]
        image = row["image_embedding"]
        assert image == (vector(item.uri).tolist() if item.has_image else None)
        assert row["caption_embeddings"] == [vector(text).tolist() for text in item.captions]


def test_record_batches_are_bounded_by_bytes(client, monkeypatch):
    monkeypatch.setattr(table, "BATCH_BYTES", 200_000)
    items = [EncodedItem(f"{n}", ["y" * 5000], {"text": "x" * 20_000}) for n in range(150)]
    opened = client(items)
    sizes = [batch.num_rows for batch in opened.items()]
    assert sum(sizes) == 150
    assert max(sizes[1:]) * 25_000 <= 250_000
    assert ids_of(opened.items()) == ids_in_order(items)


def test_a_table_of_pandas_has_a_row_per_item(client):
    opened = client(numbered(10))
    frame = opened.items(columns=["item_id", "price"], where=["price>=8"]).to_pandas()
    assert sorted(frame["item_id"]) == ["item 8", "item 9"]


def test_a_missing_package_is_named_with_its_remedy(client, monkeypatch):
    opened = client(numbered(2))
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtraError, match="pip install polars"):
        opened.items().to_polars()


def test_the_async_client_has_the_same_methods(uri, dataset, client, tmp_path):
    items = numbered(10)
    opened = client(items)

    async def use():
        async with AsyncSearchClient(uri, dataset) as waiting:
            assert await waiting.get(["item 1"]) == opened.get(["item 1"])
            assert await waiting.count(where=["price<4"]) == 4
            batches = [batch async for batch in waiting.items(where=["price<4"])]
            assert ids_of(batches) == ids_of(opened.items(where=["price<4"]))
            assert await waiting.export(tmp_path / "items.jsonl") == 10
            assert await waiting.delete("item 1") == 1
            assert await waiting.count() == 9

    asyncio.run(use())
