"""Ingests that are killed with signal 9: one more run, and the store is the data set."""

from __future__ import annotations

import os
import random
from itertools import count

import pytest
from changing import Changing
from killing import duration, kill_at_call, kill_during

from mm_milvus import SearchClient
from plain_encoder import PlainEncoder

SEED = int(os.environ.get("MM_MILVUS_SEED", "0"))


def kill_many(tmp_path, uri, dataset, kills: int) -> None:
    """Kill at random moments; sometimes the data set changes, sometimes a run is let through."""
    chance = random.Random(SEED)
    data = Changing(tmp_path, SEED)
    data.change()
    whole = duration(data, uri, dataset)
    done = tried = checked = 0
    while done < kills:
        tried += 1
        if chance.random() < 0.8:
            data.change()
        done += kill_during(data, uri, dataset, chance.uniform(0, whole))
        if chance.random() < 0.3 or done == kills:
            data.ingest(uri, dataset)
            data.check(uri, dataset)
            checked += 1
    print(f"killed {done} of {tried} ingests of {whole:.2f} s, whole after {checked} more")


def test_some_kills_at_random_moments(tmp_path, uri, dataset):
    kill_many(tmp_path, uri, dataset, 3)


@pytest.mark.slow
def test_fifty_kills_at_random_moments(tmp_path, uri, dataset):
    kill_many(tmp_path, uri, dataset, 50)


def kill_at_every_call(tmp_path, uri, dataset) -> list[str]:
    """Kill the first ingest, and then one of other data, after each changing call in turn."""
    data = Changing(tmp_path, SEED, most=400)
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
def test_half_an_index_file_of_milvus_lite_is_built_anew(tmp_path, uri, dataset):
    data = Changing(tmp_path, SEED)
    data.change()
    data.ingest(uri, dataset)
    halves = list((tmp_path / "store.db").rglob("*.idx"))
    assert halves
    for path in halves:
        path.write_bytes(path.read_bytes()[:10])
    data.check(uri, dataset)
    with SearchClient(uri, dataset, encoder=PlainEncoder()) as client:
        assert len(client.search("red dress")) == 10


@pytest.mark.engines("lite")
def test_half_a_collection_of_milvus_lite_is_made_anew(tmp_path, uri, dataset):
    """Killed between making its folder and its schema."""
    half = tmp_path / "store.db" / "collections" / f"{dataset}_images"
    half.mkdir(parents=True)
    (half / "schema.json.tmp").touch()
    data = Changing(tmp_path, SEED)
    data.change()
    data.ingest(uri, dataset)
    data.check(uri, dataset)
