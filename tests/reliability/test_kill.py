"""Ingests that are killed with signal 9: after one more run, the store holds the dataset."""

from __future__ import annotations

import os
import random
from itertools import count

import pytest
from changing_dataset import ChangingDataset
from killing import duration, kill_at_call, kill_during

from mm_milvus import SearchClient
from plain_encoder import PlainEncoder

SEED = int(os.environ.get("MM_MILVUS_SEED", "0"))


def kill_many(tmp_path, uri, dataset, kills: int) -> None:
    """Kill ingests at random moments; now and then change the dataset, and let a run finish."""
    chance = random.Random(SEED)
    data = ChangingDataset(tmp_path, SEED)
    data.change()
    seconds = duration(data, uri, dataset)
    killed = started = checked = 0
    while killed < kills:
        started += 1
        if chance.random() < 0.8:
            data.change()
        killed += kill_during(data, uri, dataset, chance.uniform(0, seconds))
        if chance.random() < 0.3 or killed == kills:
            data.ingest(uri, dataset)
            data.check(uri, dataset)
            checked += 1
    print(f"killed {killed} of {started} ingests of {seconds:.2f} s, checked after {checked} more")


def test_some_kills_at_random_moments(tmp_path, uri, dataset):
    kill_many(tmp_path, uri, dataset, 3)


@pytest.mark.slow
def test_fifty_kills_at_random_moments(tmp_path, uri, dataset):
    kill_many(tmp_path, uri, dataset, 50)


def kill_at_every_call(tmp_path, uri, dataset) -> list[str]:
    """Kill the first ingest, and then one of changed data, after each changing call in turn."""
    data = ChangingDataset(tmp_path, SEED, max_items=400)
    calls = []
    for first in (True, False):
        for number in count(1):
            name = f"{dataset}_{number}" if first else dataset
            data.change()
            if not first:
                data.ingest(uri, name)
                data.change()
            call = kill_at_call(data, uri, name, number)
            if call is None:
                break
            calls.append(call)
            data.ingest(uri, name)
            data.check(uri, name)
    return calls


@pytest.mark.slow
def test_a_kill_after_every_call_that_changes_the_store(tmp_path, uri, dataset):
    calls = kill_at_every_call(tmp_path, uri, dataset)
    print(f"killed after each of {len(calls)} calls: {' '.join(dict.fromkeys(calls))}")


@pytest.mark.engines("lite")
def test_a_truncated_index_file_of_milvus_lite_is_rebuilt(tmp_path, uri, dataset):
    data = ChangingDataset(tmp_path, SEED)
    data.change()
    data.ingest(uri, dataset)
    index_files = list((tmp_path / "store.db").rglob("*.idx"))
    assert index_files
    for path in index_files:
        path.write_bytes(path.read_bytes()[:10])
    data.check(uri, dataset)
    with SearchClient(uri, dataset, encoder=PlainEncoder()) as client:
        assert len(client.search("red dress")) == 10


@pytest.mark.engines("lite")
def test_a_half_made_collection_of_milvus_lite_is_created_again(tmp_path, uri, dataset):
    """A process was killed after it made the folder and before it wrote the schema."""
    half = tmp_path / "store.db" / "collections" / f"{dataset}_images"
    half.mkdir(parents=True)
    (half / "schema.json.tmp").touch()
    data = ChangingDataset(tmp_path, SEED)
    data.change()
    data.ingest(uri, dataset)
    data.check(uri, dataset)
