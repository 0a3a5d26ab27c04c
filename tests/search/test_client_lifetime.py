"""Clients that are closed, shared between event loops, or inherited by a child process."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mm_milvus import AsyncSearchClient, SearchClient, Store, StoreError, ingest
from mm_milvus.store.dataset import list_datasets
from pictures import write_pictures
from plain_encoder import PlainEncoder

TIMEOUT_S = 60


@pytest.fixture(scope="module")
def stored(server, emoji, tmp_path_factory):
    """Six pictures in a store that tests only read; returns its URI and the dataset's name."""
    folder = tmp_path_factory.mktemp("lifetime")
    uri, dataset = server or str(folder / "store.db"), f"t_{uuid.uuid4().hex[:12]}"
    pictures = write_pictures(folder / "pictures", emoji)
    ingest(pictures, store=uri, dataset=dataset, model=PlainEncoder())
    return uri, dataset


def members(client: type) -> dict[str, tuple[type, list[str]]]:
    """Return the kind and the parameters of each public property and method."""
    return {
        name: (type(member), [*inspect.signature(getattr(member, "fget", member)).parameters])
        for name, member in vars(client).items()
        if not name.startswith("_")
    }


def test_the_asynchronous_client_has_every_property_and_method_of_the_other():
    assert members(AsyncSearchClient) == members(SearchClient)
    for name in members(SearchClient):
        method = getattr(AsyncSearchClient, name)
        is_awaited = inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)
        assert isinstance(method, property) or is_awaited, name


def test_the_properties_of_the_asynchronous_client_connect(stored):
    client = AsyncSearchClient(*stored, encoder=(encoder := PlainEncoder()))
    assert client.dataset == stored[1]
    assert client.models == [client.model] == [encoder.spec.id]
    assert client.encoder is encoder
    asyncio.run(client.close())


def test_threads_with_a_loop_each_share_an_asynchronous_client(stored):
    client = AsyncSearchClient(*stored, encoder=PlainEncoder())

    async def several():
        hits = await asyncio.gather(*(client.search("dog", top_k=1) for _ in range(20)))
        return {hit.item_id for [hit] in hits}

    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(asyncio.run, several()) for _ in range(16)]
        assert len({frozenset(run.result(TIMEOUT_S)) for run in runs}) == 1
    asyncio.run(client.close())


def searches(client) -> dict[str, object]:
    return {
        "search": lambda: client.search("dog"),
        "search_many": lambda: client.search_many(["dog"]),
        "search_many, empty": lambda: client.search_many([]),
        "explain": lambda: client.explain("dog"),
    }


@pytest.mark.parametrize("name", searches(None))
def test_a_closed_client_says_so(stored, name):
    client = SearchClient(*stored, encoder=PlainEncoder())
    search = searches(client)[name]
    search()
    client.close()
    client.close()
    with pytest.raises(StoreError, match="the client is closed"):
        search()


@pytest.mark.parametrize("connect", [True, False])
@pytest.mark.parametrize("name", searches(None))
def test_a_closed_asynchronous_client_never_connects_again(stored, name, connect):
    async def run():
        client = AsyncSearchClient(*stored, encoder=PlainEncoder())
        if connect:
            await client.search("dog")
        await client.close()
        await client.close()
        with pytest.raises(StoreError, match="the client is closed"):
            await searches(client)[name]()
        with pytest.raises(StoreError, match="the client is closed"):
            _ = client.dataset

    asyncio.run(run())


def test_every_use_of_a_closed_store_says_so(stored):
    store = Store(stored[0])
    client = SearchClient(store, stored[1], encoder=PlainEncoder())
    store.close()
    store.close()
    for use in (
        lambda: client.search("dog"),
        lambda: SearchClient(store, stored[1]),
        lambda: list_datasets(store),
        lambda: store.client.list_collections(),
    ):
        with pytest.raises(StoreError, match="is closed"):
            use()


@pytest.mark.parametrize("closed", ["client", "store"])
def test_closing_while_searches_run_gives_hits_or_an_error_of_the_store(stored, closed):
    with SearchClient(*stored, encoder=PlainEncoder()) as client:
        expected = client.search("dog")
    for delay_s in (0, 0.001, 0.01, 0.05, 0.1):
        store = Store(stored[0])
        client = SearchClient(store, stored[1], encoder=PlainEncoder())
        started = threading.Barrier(9)

        def run(client=client, started=started):
            started.wait(TIMEOUT_S)
            try:
                while True:
                    assert client.search("dog") == expected
            except StoreError as error:
                return str(error)

        with ThreadPoolExecutor(8) as pool:
            runs = [pool.submit(run) for _ in range(8)]
            started.wait(TIMEOUT_S)
            time.sleep(delay_s)
            (client if closed == "client" else store).close()
            messages = [search.result(TIMEOUT_S) for search in runs]
        assert all("is closed" in message for message in messages), messages
        client.close()
        store.close()


FORK = """
import os, sys
from mm_milvus import AsyncSearchClient, SearchClient, Store, StoreError

uri, dataset, ending = sys.argv[1:]
store = Store(uri)
client = SearchClient(store, dataset)
expected = client.search("dog")
shared = AsyncSearchClient(store, dataset)
child = os.fork()
if not child:
    import asyncio

    for use in (
        lambda: client.search("dog"),
        lambda: client.search_many([]),
        lambda: asyncio.run(shared.search("dog")),
        lambda: store.client,
        lambda: SearchClient(store, dataset),
    ):
        try:
            use()
        except StoreError as error:
            assert "before this process was forked" in str(error), error
        else:
            raise AssertionError("no error")
    asyncio.run(shared.close())
    client.close()
    store.close()
    os._exit(0) if ending == "_exit" else sys.exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert client.search("dog") == expected
print(status, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("ending", ["exit", "_exit"])
def test_a_forked_process_is_refused_and_does_the_parent_no_harm(uri, dataset, folder, ending):
    ingest(folder, store=uri, dataset=dataset)
    with subprocess.Popen(
        [sys.executable, "-c", FORK, uri, dataset, ending],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout.readline() == "0\n", parent.communicate()[1]
        if Path(uri).exists():
            # The child that ended has not removed the lock of its parent.
            with pytest.raises(StoreError, match="another process has it open"):
                Store(uri)
        parent.communicate("", TIMEOUT_S)


CHILD_WITH_A_CLIENT_OF_ITS_OWN = """
import os, sys
from mm_milvus import SearchClient

with SearchClient(*sys.argv[1:]) as client:
    expected = client.search("dog")
child = os.fork()
if not child:
    with SearchClient(*sys.argv[1:]) as client:
        assert client.search("dog") == expected
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_process_opens_a_client_of_its_own(uri, dataset, folder):
    ingest(folder, store=uri, dataset=dataset)
    program = [sys.executable, "-c", CHILD_WITH_A_CLIENT_OF_ITS_OWN, uri, dataset]
    subprocess.run(program, check=True, timeout=TIMEOUT_S)
