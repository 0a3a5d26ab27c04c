"""Concurrent use: threads on one client, two ingests of one dataset, queries while it fills."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from changing_dataset import WORDS, ChangingDataset
from killing import PROCESSES, start

from mm_milvus import SearchClient
from mm_milvus.errors import StoreError
from plain_encoder import PlainEncoder

THREADS = 64


@pytest.fixture
def data(tmp_path) -> ChangingDataset:
    data = ChangingDataset(tmp_path, seed=6)
    data.change()
    return data


def test_sixty_four_threads_on_one_client_get_the_same_hits_as_one(data, uri, dataset):
    data.ingest(uri, dataset)
    with SearchClient(uri, dataset, encoder=PlainEncoder()) as client:
        queries = [f"{WORDS[n % len(WORDS)]} {WORDS[n % 7]}" for n in range(THREADS)]
        expected = {query: client.search(query) for query in {*queries}}
        barrier = threading.Barrier(THREADS)

        def search(query):
            barrier.wait()
            return client.search(query)

        with ThreadPoolExecutor(THREADS) as pool:
            assert list(pool.map(search, queries)) == [expected[query] for query in queries]


@pytest.mark.engines("server")
def test_two_concurrent_ingests_of_one_dataset_store_it_once(data, uri, dataset):
    processes = [start(data, uri, dataset) for _ in range(2)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    data.check(uri, dataset)


def search_while_it_fills(data, uri, dataset) -> None:
    data.ingest(uri, dataset)
    data.change()
    finished = threading.Event()
    hit_counts = []

    def search() -> None:
        with SearchClient(uri, dataset, encoder=PlainEncoder()) as client:
            while not finished.is_set():
                hit_counts.append(len(client.search("red dress")))

    with ThreadPoolExecutor(1) as pool:
        searching = pool.submit(search)
        try:
            data.ingest(uri, dataset)
        finally:
            finished.set()
        searching.result()
    assert {*hit_counts} == {10}
    data.check(uri, dataset)


@pytest.mark.engines("lite")
def test_queries_are_answered_while_the_dataset_fills(data, uri, dataset):
    search_while_it_fills(data, uri, dataset)


@pytest.mark.slow
@pytest.mark.engines("server")
def test_queries_are_answered_while_a_server_fills(data, uri, dataset):
    search_while_it_fills(data, uri, dataset)


@pytest.mark.engines("lite")
def test_a_file_that_another_process_has_open_is_an_error_with_a_remedy(data, uri, dataset):
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_hold, args=(uri, sender))
    process.start()
    assert receiver.recv() == "open"
    with pytest.raises(StoreError, match="another process has it open; close the other process"):
        data.ingest(uri, dataset)
    process.kill()
    process.join()
    data.ingest(uri, dataset)


def _hold(uri, sender) -> None:
    from mm_milvus.store.connection import Store

    with Store(uri):
        sender.send("open")
        threading.Event().wait()
