"""A real Milvus server from the `milvus` package, started and stopped by the tests."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pymilvus import MilvusClient

READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def milvus_server(folder: Path) -> Iterator[str]:
    """The URI of a fresh server whose data lies in the folder."""
    port = free_port()
    log = folder / "server.log"
    program = Path(sys.executable).parent / "milvus-server"
    with log.open("w") as output:
        process = subprocess.Popen(
            [program, "--data", folder / "data", "--proxy-port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            uri = f"http://127.0.0.1:{port}"
            wait_until_ready(uri, lambda: process.poll() is None, log)
            yield uri
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_ready(uri: str, is_alive, log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and is_alive():
        try:
            client = MilvusClient(uri=uri, timeout=2)
            client.list_collections(timeout=5)
            client.close()
        except Exception:
            time.sleep(0.5)
        else:
            return
    tail = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"Milvus at {uri} did not get ready; its log ends with:\n{tail}")
