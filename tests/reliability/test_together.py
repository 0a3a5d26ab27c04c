"""Many at once: threads on one client, two ingests of one data set, queries while it fills."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from changing import WORDS, Changing
from killing import PROCESSES, start

from mm_milvus import SearchClient
from mm_milvus.errors import StoreError
from plain_encoder import PlainEncoder

THREADS = 64


@pytest.fixture
def data(tmp_path, monkeypatch) -> Changing:
    monkeypatch.chdir(tmp_path)
    data = Changing(tmp_path, seed=6)
    data.change()
    return data


def test_sixty_four_threads_on_one_client_find_what_one_finds(data, uri, dataset):
    data.ingest(uri, dataset)
    with SearchClient(uri, dataset, encoder=PlainEncoder()) as client:
        questions = [f"{WORDS[n % len(WORDS)]} {WORDS[n % 7]}" for n in range(THREADS)]
        alone = {question: client.search(question) for question in {*questions}}
        barrier = threading.Barrier(THREADS)

        def ask(question):
            barrier.wait()
            return client.search(question)

        with ThreadPoolExecutor(THREADS) as pool:
            assert list(pool.map(ask, questions)) == [alone[each] for each in questions]


@pytest.mark.engines("server")
def test_two_ingests_of_one_data_set_at_once_store_it_once(data, uri, dataset):
    processes = [start(data, uri, dataset) for _ in range(2)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    data.check(uri, dataset)


def ask_while_it_fills(data, uri, dataset) -> None:
    data.ingest(uri, dataset)
    data.change()
    over = threading.Event()
    answers = []

    def ask() -> None:
        with SearchClient(uri, dataset, encoder=PlainEncoder()) as client:
            while not over.is_set():
                answers.append(len(client.search("red dress")))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            data.ingest(uri, dataset)
        finally:
            over.set()
        asking.result()
    assert {*answers} == {10}
    data.check(uri, dataset)


@pytest.mark.engines("lite")
def test_queries_are_answered_while_the_data_set_fills(data, uri, dataset):
    ask_while_it_fills(data, uri, dataset)


@pytest.mark.slow
@pytest.mark.engines("server")
def test_queries_are_answered_while_a_server_fills(data, uri, dataset):
    ask_while_it_fills(data, uri, dataset)


@pytest.mark.engines("lite")
def test_a_file_that_another_process_ingests_into_says_what_to_do(data, uri, dataset):
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
