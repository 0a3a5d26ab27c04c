"""Ingests in separate processes, killed after a delay or after a call of the engine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from changing_dataset import ChangingDataset

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["changing_dataset", "mm_milvus.ingestion.ingest", "mm_milvus.verification.verify"]
)
"""Processes are forked from one with all imports and no connections, so they start quickly."""

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
"""The methods of the pymilvus connection that change what is stored."""


def start(data: ChangingDataset, uri: str, dataset: str) -> Any:
    """Start an ingest in a separate process; return the process."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_ingest, args=(data, uri, dataset, sender))
    process.start()
    sender.close()
    assert receiver.recv() == "ready"
    return process


def kill_during(data: ChangingDataset, uri: str, dataset: str, after_s: float) -> bool:
    """Kill an ingest after a delay; return whether it was still running."""
    process = start(data, uri, dataset)
    time.sleep(after_s)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def duration(data: ChangingDataset, uri: str, dataset: str) -> float:
    """Return how many seconds a complete ingest takes in a separate process."""
    process = start(data, uri, dataset)
    started = time.monotonic()
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - started


def kill_at_call(data: ChangingDataset, uri: str, dataset: str, number: int) -> str | None:
    """Let an ingest kill itself after its n-th changing call.

    Returns:
        The name of that call; None if there are fewer calls.
    """
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_ingest_until, args=(data, uri, dataset, number, sender))
    process.start()
    sender.close()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return receiver.recv() if process.exitcode else None


def _ingest(data: ChangingDataset, uri: str, dataset: str, sender: Any) -> None:
    os.chdir(data.folder.parent)
    sender.send("ready")
    data.ingest(uri, dataset)


def _ingest_until(data: ChangingDataset, uri: str, dataset: str, number: int, sender: Any) -> None:
    from pymilvus.client.grpc_handler import GrpcHandler

    remaining = number

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal remaining
            answer = call(*arguments, **options)
            remaining -= 1
            if remaining == 0:
                sender.send(name)
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return wrapper

    for name in CALLS:
        setattr(GrpcHandler, name, counted(name, getattr(GrpcHandler, name)))
    os.chdir(data.folder.parent)
    data.ingest(uri, dataset)
