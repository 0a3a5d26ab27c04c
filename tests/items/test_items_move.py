"""Ten thousand items move from a Milvus Lite file to a server and back, and nothing changes."""

from __future__ import annotations

import time

import pyarrow.parquet as pq
import pytest

import encoded_items
from encoded_items import EncodedItem, write_encoded
from mm_milvus import SearchClient, copy_dataset, drop_dataset, ingest, open_embeddings

ITEMS = 10_000
DIM = 512

pytestmark = [pytest.mark.engines("server", "container"), pytest.mark.slow]


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A file of items, as `encode` writes it."""
    monkeypatch.setattr(encoded_items, "DIM", DIM)
    items = [
        EncodedItem(
            f"class {n % 50}/{n:05d} é.jpg",
            [f"caption {n}.{m}" for m in range(n % 4)] or (["alone"] if n % 10 == 0 else []),
            {"price": n / 7, "name": f"näme {n}", "tags": ["a", n], "in": {"size": n % 50}},
            has_image=n % 10 != 0,
        )
        for n in range(ITEMS)
    ]
    return write_encoded(tmp_path / "source.parquet", items)


def timed(what, call):
    started = time.perf_counter()
    result = call()
    print(f"{what}: {time.perf_counter() - started:.1f} s")
    return result


def stored(uri, dataset, path) -> None:
    report = timed(
        f"store in {uri}", lambda: ingest(open_embeddings(path), store=uri, dataset=dataset)
    )
    assert (report.items, report.rejected) == (ITEMS, 0)


def exported(uri, dataset, path):
    with SearchClient(uri, dataset) as client:
        assert timed(f"export {dataset}", lambda: client.export(path, vectors=True)) == ITEMS
    return pq.read_table(path)


def test_items_move_to_a_server_and_back(uri, dataset, source, tmp_path):
    first, second, third = (str(tmp_path / f"{name}.db") for name in "abc")
    ingest(open_embeddings(source), store=first, dataset=dataset)
    before = exported(first, dataset, tmp_path / "1.parquet")
    written = pq.read_table(source)
    assert before.sort_by("item_id").equals(written.sort_by("item_id"))

    for target, file in ((uri, "1.parquet"), (second, "2.parquet")):
        stored(target, dataset, tmp_path / file)
        assert exported(target, dataset, tmp_path / "2.parquet").equals(before)
    assert ingest(open_embeddings(source), store=second, dataset=dataset).skipped == ITEMS

    copied = f"{dataset}_copied"
    timed("copy to the server", lambda: copy_dataset(dataset, copied, first, to=uri))
    timed("copy back", lambda: copy_dataset(copied, dataset, uri, to=third))
    assert exported(third, dataset, tmp_path / "4.parquet").equals(before)
    drop_dataset(dataset, uri)
    drop_dataset(copied, uri)
