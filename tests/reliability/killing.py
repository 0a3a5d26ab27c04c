"""Ingests in processes of their own, to be killed: at a moment, or at a call of the engine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from changing import Changing

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["changing", "mm_milvus.ingestion.ingest", "mm_milvus.verification.verify"]
)
"""Forked from a process that has imported all and connected to nothing: a start costs little."""

CALLS = (
    "create_collection",
    "create_index",
    "load_collection",
    "upsert_rows",
    "delete",
    "flush",
    "release_collection",
    "drop_index",
    "alter_collection_properties",
)
"""The methods of pymilvus' connection that change what is stored."""


def start(data: Changing, uri: str, dataset: str) -> Any:
    """An ingest that has just begun, in a process of its own."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_ingest, args=(data, uri, dataset, sender))
    process.start()
    sender.close()
    assert receiver.recv() == "ready"
    return process


def kill_during(data: Changing, uri: str, dataset: str, after_s: float) -> bool:
    """Kill an ingest so long after its start; whether it was still at work."""
    process = start(data, uri, dataset)
    time.sleep(after_s)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def duration(data: Changing, uri: str, dataset: str) -> float:
    """How long a whole ingest takes in such a process, in seconds."""
    process = start(data, uri, dataset)
    begun = time.monotonic()
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - begun


def kill_at_call(data: Changing, uri: str, dataset: str, number: int) -> str | None:
    """Let an ingest kill itself after its n-th changing call; the call, None if there are less."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_ingest_until, args=(data, uri, dataset, number, sender))
    process.start()
    sender.close()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return receiver.recv() if process.exitcode else None


def _ingest(data: Changing, uri: str, dataset: str, sender: Any) -> None:
    os.chdir(data.folder.parent)
    sender.send("ready")
    data.ingest(uri, dataset)


def _ingest_until(data: Changing, uri: str, dataset: str, number: int, sender: Any) -> None:
    from pymilvus.client.grpc_handler import GrpcHandler

    left = number

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            answer = call(*arguments, **options)
            left -= 1
            if left == 0:
                sender.send(name)
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return wrapper

    for name in CALLS:
        setattr(GrpcHandler, name, counted(name, getattr(GrpcHandler, name)))
    os.chdir(data.folder.parent)
    data.ingest(uri, dataset)
