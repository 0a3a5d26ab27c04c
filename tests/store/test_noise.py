"""Neither pymilvus, Milvus Lite, faiss nor gRPC writes to the terminal of an application."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LIBRARY_IN_TROUBLE = """
import os, socket, sys
import numpy as np
from mm_milvus import MmMilvusError, SearchClient, Store, ingest
from mm_milvus.schema import Modality
from mm_milvus.store.collection import Collection

folder = sys.argv[1]

def attempt(call):
    try:
        call()
    except MmMilvusError:
        return
    raise AssertionError("no error")

with socket.socket() as closed:
    closed.bind(("127.0.0.1", 0))
    port = closed.getsockname()[1]
attempt(lambda: Store(f"http://127.0.0.1:{port}"))
ingest(folder, store="x.db", dataset="d")
store = Store("x.db")
client = SearchClient(store, "d")
client.search("dog")
attempt(lambda: client.search("dog", filter="price <"))
attempt(lambda: Collection(store, "nothing", Modality.IMAGE).count())
child = os.fork()
if not child:
    attempt(lambda: client.search("dog"))
    os._exit(0)
os.waitpid(child, 0)
store.close()
attempt(lambda: client.search("dog"))
"""

CLOSED_WHILE_SEARCHED = """
import sys, threading, time
from mm_milvus import MmMilvusError, SearchClient, ingest

ingest(sys.argv[1], store="x.db", dataset="d")
client = SearchClient("x.db", "d")

def search():
    try:
        while True:
            client.search("dog")
    except MmMilvusError:
        return

threads = [threading.Thread(target=search) for _ in range(4)]
for thread in threads:
    thread.start()
time.sleep(0.5)
client.close()
for thread in threads:
    thread.join()
"""

GROWING = """
import numpy as np
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import create_dataset
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.rows import Row

chance = np.random.default_rng(0)
with Store("x.db") as store:
    dataset = create_dataset(store, Manifest("d", "plain", "0" * 16, 8), expected_rows=0)
    for size in (300, 500, 1200):
        vectors = chance.standard_normal((size, 8)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ids = [f"{chance.integers(2**60):032x}" for _ in vectors]
        zeros = "0" * 32
        for collection in dataset.collections:
            caption = None if collection is dataset.images else "a"
            rows = (Row(i, i, "", zeros, zeros, v, {}, caption) for i, v in zip(ids, vectors))
            collection.upsert(rows, {})
        dataset = dataset.finish()
        dataset.images.search(vectors[:2], 5)
"""


@pytest.mark.parametrize("program", [LIBRARY_IN_TROUBLE, CLOSED_WHILE_SEARCHED, GROWING])
def test_an_application_that_sets_up_no_logging_sees_nothing(folder, program):
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


LOGGING = """
import logging
logging.basicConfig(level=logging.ERROR, format="%(name)s %(levelname)s")
from mm_milvus import MmMilvusError, Store
from mm_milvus.schema import Modality
from mm_milvus.store.collection import Collection
try:
    Collection(Store("x.db"), "nothing", Modality.IMAGE).manifest()
except MmMilvusError:
    pass
"""


def test_an_application_that_sets_up_logging_gets_the_log_of_pymilvus():
    done = subprocess.run([sys.executable, "-c", LOGGING], capture_output=True, text=True)
    assert (done.returncode, "pymilvus.decorators ERROR" in done.stderr) == (0, True)
