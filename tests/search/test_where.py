"""What the filters of a search mean for a dataset: its keys, its captions, its tenants."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mm_milvus import MmMilvusError, QueryError, SearchClient, ingest
from mm_milvus.search import where
from plain_encoder import PlainEncoder

ROWS = [
    {"stock": 12, "dc.creator": "Ann", "captions": ["a red dress", "100% cotton"]},
    {"stock": "12", "dc": {"creator": "Ann"}, "captions": ["a Red hat"]},
    {"stock": 3, "added": "2024-05-01T09:30:00", "captions": ["blue\nhat", "under_score"]},
    {"stock": None, "added": "2024-05-02", "captions": []},
    {"new": True, "tags": ["sale"], "captions": ["back\\slash", 'a "quoted" word']},
]

TENANTS = ["a", "b"]


def write_items(folder, rows):
    folder.mkdir(exist_ok=True)
    with (folder / "metadata.jsonl").open("w") as table:
        for number, row in enumerate(rows):
            name = f"{number}.png"
            Image.new("RGB", (8, 8), (number * 9 % 256, number, 80)).save(folder / name)
            row = {**row, "tenant": TENANTS[number % 2]}
            table.write(json.dumps({"file_name": name, **row}) + "\n")


@pytest.fixture
def items(uri, dataset, tmp_path):
    """A function that adds items, and returns one that searches for the numbers of those found."""
    folder, encoder = tmp_path / "items", PlainEncoder()

    def add(rows):
        write_items(folder, rows)
        ingest(folder, store=uri, dataset=dataset, model=encoder)

    add(ROWS)
    with SearchClient(uri, dataset, encoder=encoder) as client:

        def find(*conditions, **options):
            hits = client.search("a", top_k=100, where=conditions, **options)
            return {int(hit.item_id.removesuffix(".png")) for hit in hits}

        find.add = add
        yield find


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("stok=12", "no item has the metadata key 'stok'; similar keys: 'stock'"),
        ("Stock=12", "similar keys: 'stock'"),
        ("creator=Ann", "similar keys: 'dc.creator'"),
        ("zzzzz!=1", "the keys are 'added', 'dc', 'dc.creator', 'new', 'stock', …"),
        ("stock=12 or stok=3", "filter 'stok=3': no item has"),
        ("added>5", "'added' are texts; compare them with a text|varchar; compare it with a text"),
        ("new=yes", "'new' are true and false|of type bool; compare it with true or false"),
        ("dc.creator=true", "the stored values of 'dc.creator' are texts"),
        ("tags=sale", "the stored values of 'tags' are lists or objects"),
    ],
)
def test_a_condition_that_no_item_can_meet_is_rejected(items, condition, message):
    with pytest.raises(QueryError) as error:
        items(condition)
    # Milvus Lite has typed columns for scalar values, and the server looks into the JSON.
    assert any(text in str(error.value) for text in message.split("|"))


def test_conditions_find_items_by_what_is_stored(items):
    assert items("stock=12") == {0, 1}
    assert items("stock<12") == {2}
    assert items("stock starts with 1") == {1}
    assert items("dc.creator=Ann") == {0, 1}
    assert items("added=2024-05-01") == {2}
    assert items("added>2024-05-01") == {3}
    assert items("stock=3 or (new=true and tags has sale)") == {2, 4}
    assert items("nothing exists") == set()
    assert items("nothing not exists") == {0, 1, 2, 3, 4}


def test_a_key_that_only_new_items_have_is_found(items):
    with pytest.raises(QueryError):
        items("season=summer")
    items.add([*ROWS, {"season": "summer", "captions": []}])
    assert items("season=summer") == {5}


def test_a_key_or_type_outside_of_the_sample_is_found(items, monkeypatch):
    monkeypatch.setattr(where, "SAMPLED_ROWS", 1)
    assert items("new=true") == {4}
    assert items("added>2024-05-01") == {3}
    assert items('stock="12"') == {1}
    assert items("stock=12") == {0, 1}
    with pytest.raises(QueryError, match="no item has the metadata key 'stok'"):
        items("stok=12")


def test_captions_are_searched_for_a_text(items):
    texts = ["red", "Red", "hat", "100%", "_", "%", "\\", '"quoted"', "blue\nhat", "xyz", "'"]
    for text in texts:
        expected = {
            number
            for number, row in enumerate(ROWS)
            if any(text in caption for caption in row["captions"])
        }
        assert items(caption_has=text) == expected, text
    assert items("stock=12", caption_has="hat") == {1}
    assert items("stock=12", caption_has="hat", filter='item_id != "1.png"') == set()


def test_too_many_captions_are_rejected(items, monkeypatch):
    monkeypatch.setattr(where, "MAX_LIMIT", 1)
    assert items(caption_has="red") == {0}
    with pytest.raises(QueryError, match=r"more than 1 items have a caption with 'hat'"):
        items(caption_has="hat")


FRAGMENTS = [
    *("(", ")", "[", "]", '"', "'", "\\", " or ", " and ", "not ", "#", "\n"),
    *('item_id != ""', 'item_id == "x"', 'metadata["tenant"] == "b"', '""', "'a'"),
]


def test_no_filter_of_a_user_reaches_another_tenant(items):
    """Neither a raw expression nor a condition, whatever it is made of."""
    texts = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=7).map("".join)
    escapes = [
        'item_id == "") or (item_id != ""',
        "item_id == '') or (item_id != ''",
        'item_id == "\\") or (item_id != ""',
        'item_id == "x" or item_id != "x"',
        'item_id == ""] or [item_id != ""',
    ]

    def check(text):
        for extra, raw in (((), text), ((text,), "")):
            try:
                found = items("tenant=a", *extra, filter=raw)
            except MmMilvusError:
                continue
            assert found <= {0, 2, 4}, text

    for text in escapes:
        check(text)
    settings(derandomize=True, database=None, max_examples=40, deadline=None)(given(texts)(check))()
    assert items("tenant=a", "tenant=b or stock=12") == {0}
    assert items("tenant=a", filter='item_id == "x" or item_id != "x"') == {0, 2, 4}


def test_an_open_client_finds_values_that_came_later_and_do_not_fit_their_column(
    uri, dataset, tmp_path
):
    folder, encoder = tmp_path / "later", PlainEncoder()
    rows = [{"stock": 12, "price": 1.5}, {"stock": 3, "price": 2.5}]
    write_items(folder, rows)
    ingest(folder, store=uri, dataset=dataset, model=encoder)
    conditions = ("stock=12", "stock!=12", "stock exists", "stock not exists", "price!=1.5")
    with SearchClient(uri, dataset, encoder=encoder) as client:
        client.search("a", where=["stock=12"])
        write_items(folder, [*rows, {"stock": "12", "price": "n/a"}])
        ingest(folder, store=uri, dataset=dataset, model=encoder)
        with SearchClient(uri, dataset, encoder=encoder) as new:
            for condition in (*conditions, 'price="n/a"'):
                found = [
                    {hit.item_id for hit in each.search("a", where=[condition])}
                    for each in (client, new)
                ]
                assert found[0] == found[1], condition
        assert "2.png" in {hit.item_id for hit in client.search("a", where=["stock=12"])}
