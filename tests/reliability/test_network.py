"""A line to the server that is slow, dead for a while, or cut."""

from __future__ import annotations

import random
import threading

import pytest
from changing import Changing
from proxy import proxied

from mm_milvus.errors import StoreError

pytestmark = pytest.mark.engines("server")


@pytest.fixture
def data(tmp_path, monkeypatch) -> Changing:
    monkeypatch.chdir(tmp_path)
    data = Changing(tmp_path, seed=1, most=60)
    data.change()
    return data


@pytest.mark.slow
def test_a_slow_line_and_one_that_is_dead_for_a_while_lose_nothing(data, uri, dataset):
    with proxied(uri) as proxy:
        proxy.delay_s = 0.01
        timers = threading.Timer(0.3, proxy.held.set), threading.Timer(1.5, proxy.held.clear)
        for timer in timers:
            timer.start()
        data.ingest(proxy.uri, dataset)
    data.check(uri, dataset)


def cut_and_run_again(data, uri, dataset, cuts: int) -> tuple[int, int]:
    """Reset the line after a random number of bytes; how often a run failed, and of how many."""
    chance = random.Random(0)
    data.ingest(uri, dataset)
    failed = 0
    with proxied(uri) as proxy:
        data.change()
        data.ingest(proxy.uri, dataset)
        whole = proxy.passed
        for _ in range(cuts):
            data.change()
            proxy.reset_after(chance.randrange(whole))
            try:
                data.ingest(proxy.uri, dataset)
            except StoreError:
                failed += 1
                data.ingest(proxy.uri, dataset)
            data.check(uri, dataset)
    return failed, cuts


def test_a_line_that_is_cut_loses_nothing(data, uri, dataset):
    cut_and_run_again(data, uri, dataset, 1)


@pytest.mark.slow
def test_a_line_that_is_cut_thirty_times_loses_nothing(data, uri, dataset):
    failed, cuts = cut_and_run_again(data, uri, dataset, 30)
    print(f"{cuts} cuts: {cuts - failed} ingests went on by themselves, {failed} were run again")
