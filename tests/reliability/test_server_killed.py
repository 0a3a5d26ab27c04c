"""The server is killed with signal 9 during writes, and started again."""

from __future__ import annotations

import os
import random
import threading

import pytest
from changing_dataset import ChangingDataset

from mm_milvus.errors import StoreError
from server import Server

KILLS = int(os.environ.get("MM_MILVUS_SERVER_KILLS", "5"))


@pytest.mark.slow
def test_a_server_that_is_killed_loses_nothing_that_it_acknowledged(tmp_path):
    chance = random.Random(0)
    server = Server(tmp_path)
    data = ChangingDataset(tmp_path, seed=3)
    server.start()
    try:
        data.change()
        data.ingest(server.uri, "killed")
        failed = 0
        for _ in range(KILLS):
            data.change()
            killer = threading.Timer(chance.uniform(0, 3), server.kill)
            killer.start()
            try:
                data.ingest(server.uri, "killed")
            except StoreError:
                failed += 1
            killer.join()
            server.start()
            data.ingest(server.uri, "killed")
            data.check(server.uri, "killed")
    finally:
        server.stop()
    print(f"killed the server {KILLS} times, {failed} during an ingest")
