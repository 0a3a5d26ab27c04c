"""Exported items are stored again as they were: ids, vectors, metadata, captions."""

from __future__ import annotations

import csv
import json
import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encoded_items import EncodedItem, numbered, vector, write_encoded
from mm_milvus import SearchClient, ingest, open_embeddings
from mm_milvus.errors import OptionError, OutputError, StoreError
from mm_milvus.store.collection import Collection
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import drop_dataset

pytestmark = pytest.mark.engines("lite")
"""A server takes seconds to store each dataset; what it does differently is tested elsewhere."""

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ITEMS = st.lists(
    st.builds(
        EncodedItem,
        item_id=TEXT,
        captions=st.lists(TEXT, min_size=1, max_size=7),
        metadata=st.dictionaries(TEXT, JSON, max_size=4),
        has_image=st.booleans(),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda item: item.item_id,
)


def test_an_export_with_vectors_is_what_ingest_takes(client, uri, file):
    items = numbered(50)
    opened = client(items)
    assert opened.export(file, vectors=True) == 50
    copy = f"{opened.dataset}_copy"
    report = ingest(open_embeddings(file), store=uri, dataset=copy)
    assert (report.items, report.rejected) == (50, 0)
    with SearchClient(uri, copy) as copied:
        assert copied.export(file.with_name("again.parquet"), vectors=True) == 50
    first, second = (pq.read_table(path) for path in (file, file.with_name("again.parquet")))
    assert first.equals(second)
    for row in first.to_pylist():
        item = items[int(row["item_id"].split()[1])]
        if item.has_image:
            assert np.float32(row["image_embedding"]).tobytes() == vector(item.uri).tobytes()


def test_a_file_of_a_moved_dataset_changes_nothing_that_is_stored(client, store_items, file):
    items = numbered(20)
    opened = client(items)
    opened.export(file, vectors=True)
    report = ingest(open_embeddings(file), store=opened._index.images.store, dataset=opened.dataset)
    assert (report.items, report.skipped) == (20, 20)
    assert store_items(items).skipped == 20


DIFFICULT = [
    EncodedItem("é", ["\u2028", 'a "b"', "a\nb", "x" * 5000], {}),
    EncodedItem("e\u0301", ["same", "same"], {"": 1, "a.b": {"c": [1, 2.5, None, {"d": []}]}}),
    EncodedItem("🙂/../x?#.png", [], {"n": 2**64 - 1, "m": -(2**63), "f": 1e-300, "one": 1.0}),
    EncodedItem("' or 1=1 --", ["%_\\"], {"t": "\t\n\r\\\"'", "b": False, "z": 0}),
    EncodedItem(" ", [f"{n}" for n in range(9)], {"null": None}, has_image=False),
    EncodedItem("{}[]", ["alone"], {"x": "y" * 60_000}, has_image=False),
]


def test_difficult_items_are_stored_again_as_they_were(client, uri, file):
    opened = client(DIFFICULT)
    assert opened.export(file, vectors=True) == len(DIFFICULT)
    copy = f"{opened.dataset}_copy"
    ingest(open_embeddings(file), store=uri, dataset=copy)
    with SearchClient(uri, copy) as copied:
        copied.export(file.with_name("again.parquet"), vectors=True)
        got = copied.get([item.item_id for item in DIFFICULT])
    assert pq.read_table(file).equals(pq.read_table(file.with_name("again.parquet")))
    for item, stored in zip(DIFFICULT, got, strict=True):
        assert (stored.uri, [*stored.captions]) == (item.uri, [*item.captions])
        assert json.dumps(stored.metadata) == json.dumps(item.metadata)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(items=ITEMS)
def test_export_and_ingest_are_the_identity(uri, tmp_path, items):
    name, copy = (f"t_{uuid.uuid4().hex[:12]}" for _ in range(2))
    source = write_encoded(tmp_path / "source.parquet", items, source=name)
    tables = []
    with Store(uri) as store:
        report = ingest(open_embeddings(source), store=store, dataset=name)
        assert report.rejected == 0
        for number, dataset in enumerate((name, copy)):
            file = tmp_path / f"export{number}.parquet"
            with SearchClient(store, dataset) as client:
                assert client.export(file, vectors=True) == len(items)
                client.export(file.with_suffix(".jsonl"))
            tables.append(pq.read_table(file))
            if dataset == name:
                ingest(open_embeddings(file), store=store, dataset=copy)
        drop_dataset(name, store)
        drop_dataset(copy, store)
    first, second = tables
    assert first.equals(second)
    by_id = {item.item_id: item for item in items}
    for row in first.to_pylist():
        item = by_id[row["item_id"]]
        assert (row["uri"], row["captions"]) == (item.uri, [*item.captions])
        assert json.loads(row["metadata"]) == item.metadata
    lines = (tmp_path / "export0.jsonl").read_bytes().decode().split("\n")[:-1]
    assert {line["item_id"]: line["metadata"] for line in map(json.loads, lines)} == {
        item.item_id: item.metadata for item in items
    }


def test_each_format_has_the_same_items(client, tmp_path):
    items = [
        EncodedItem("a", ["one, two", 'a "b"\nc'], {"price": 1.5, "tags": ["x"], "new": True}),
        EncodedItem("é\t", ["x"], {"price": None, "name": "  "}, has_image=False),
    ]
    opened = client(items)
    columns = ["item_id", "captions", "price", "tags", "new", "name"]
    for suffix in ("parquet", "jsonl", "csv"):
        assert opened.export(tmp_path / f"x.{suffix}", ["a", "é\t"], columns=columns) == 2
    expected = [
        ["a", ["one, two", 'a "b"\nc'], 1.5, ["x"], True, None],
        ["é\t", ["x"], None, None, None, "  "],
    ]
    lines = (tmp_path / "x.jsonl").read_text(encoding="utf-8").splitlines()
    assert [[*json.loads(line).values()] for line in lines] == expected
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as stream:
        header, *cells = csv.reader(stream)
    assert header == columns
    assert cells == [
        ["a", '["one, two", "a \\"b\\"\\nc"]', "1.5", '["x"]', "true", ""],
        ["é\t", '["x"]', "", "", "", "  "],
    ]
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.schema == opened.items(columns=columns).schema
    assert table.column("captions").to_pylist() == [row[1] for row in expected]


def test_vectors_can_be_written_in_every_format(client, tmp_path):
    opened = client(numbered(4))
    opened.export(tmp_path / "x.jsonl", ["item 1"], vectors=True)
    line = json.loads((tmp_path / "x.jsonl").read_text())
    assert np.float32(line["image_embedding"]).tobytes() == vector("/pictures/item 1").tobytes()
    opened.export(tmp_path / "x.csv", ["item 1"], vectors=True)
    with (tmp_path / "x.csv").open(newline="") as stream:
        [row] = csv.DictReader(stream)
    assert json.loads(row["caption_embeddings"]) == line["caption_embeddings"]


def test_an_empty_selection_is_an_empty_file(client, tmp_path):
    opened = client(numbered(4))
    for suffix in ("parquet", "jsonl", "csv"):
        assert opened.export(tmp_path / f"x.{suffix}", where=["price>100"]) == 0
    assert pq.read_table(tmp_path / "x.parquet").num_rows == 0
    assert (tmp_path / "x.jsonl").read_text() == ""
    assert (tmp_path / "x.csv").read_text() == "item_id,uri,captions,metadata\n"


@pytest.mark.parametrize("name", ["x.xlsx", "x", "s3://bucket/x.parquet"])
def test_a_path_of_another_kind_is_refused(client, name):
    opened = client(numbered(2))
    with pytest.raises(OptionError, match=r"name a local file that ends in \.parquet"):
        opened.export(name)


def test_a_folder_that_does_not_exist_is_reported(client, tmp_path):
    opened = client(numbered(2))
    with pytest.raises(OutputError, match="cannot be written"):
        opened.export(tmp_path / "nowhere" / "x.jsonl")
    with pytest.raises(OptionError, match="leave out `columns`"):
        opened.export(tmp_path / "x.jsonl", vectors=True, columns=["uri"])


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "csv"])
def test_an_interrupted_export_leaves_the_previous_file(client, tmp_path, monkeypatch, suffix):
    opened = client(numbered(300))
    path: Path = tmp_path / f"x.{suffix}"
    opened.export(path, limit_to(opened, 3))
    before = path.read_bytes()
    by_id = Collection.by_id
    calls = []

    def fail_late(*arguments):
        calls.append(1)
        if len(calls) > 5:
            raise StoreError("the server is gone")
        return by_id(*arguments)

    monkeypatch.setattr(Collection, "by_id", fail_late)
    with pytest.raises(StoreError, match="gone"):
        opened.export(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir() if "x." in entry.name] == [path.name]


def limit_to(client, count: int) -> list[str]:
    batches = client.items(columns=["item_id"], limit=count)
    return pa.Table.from_batches(batches).column("item_id").to_pylist()
