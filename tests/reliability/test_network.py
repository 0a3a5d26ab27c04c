"""A connection to the server that is slow, dead for a while, or cut."""

from __future__ import annotations

import random
import threading

import pytest
from changing_dataset import ChangingDataset
from proxy import proxied

from mm_milvus.errors import StoreError

pytestmark = pytest.mark.engines("server")


@pytest.fixture
def data(tmp_path) -> ChangingDataset:
    data = ChangingDataset(tmp_path, seed=1, max_items=60)
    data.change()
    return data


@pytest.mark.slow
def test_a_slow_and_temporarily_dead_connection_loses_nothing(data, uri, dataset):
    with proxied(uri) as proxy:
        proxy.delay_s = 0.01
        timers = threading.Timer(0.3, proxy.held.set), threading.Timer(1.5, proxy.held.clear)
        for timer in timers:
            timer.start()
        data.ingest(proxy.uri, dataset)
    data.check(uri, dataset)


def cut_and_run_again(data, uri, dataset, cuts: int) -> tuple[int, int]:
    """Reset the connections of each ingest after a random number of bytes.

    Returns:
        How many ingests failed, and how many there were.
    """
    chance = random.Random(0)
    data.ingest(uri, dataset)
    failed = 0
    with proxied(uri) as proxy:
        data.change()
        data.ingest(proxy.uri, dataset)
        total_bytes = proxy.passed
        for _ in range(cuts):
            data.change()
            proxy.reset_after(chance.randrange(total_bytes))
            try:
                data.ingest(proxy.uri, dataset)
            except StoreError:
                failed += 1
                data.ingest(proxy.uri, dataset)
            data.check(uri, dataset)
    return failed, cuts


def test_a_connection_that_is_cut_loses_nothing(data, uri, dataset):
    cut_and_run_again(data, uri, dataset, 1)


@pytest.mark.slow
def test_a_connection_that_is_cut_thirty_times_loses_nothing(data, uri, dataset):
    failed, cuts = cut_and_run_again(data, uri, dataset, 30)
    print(f"{cuts} cuts: {cuts - failed} ingests recovered by themselves, {failed} were run again")
