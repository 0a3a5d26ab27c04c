"""A real Milvus server from the `milvus` package, started and stopped by the tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pymilvus import MilvusClient

READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0

LOGS = ("milvus-stderr.log", "milvus-stdout.log")
LOG_TAIL = 2000


@contextmanager
def milvus_server(folder: Path) -> Iterator[str]:
    """The URI of a fresh server whose data lies in the folder."""
    proxy, etcd, peer = free_ports(3)
    program = Path(sys.executable).parent / "milvus-server"
    with (folder / "server.log").open("w") as output:
        process = subprocess.Popen(
            [program, "--data", folder, "--proxy-port", str(proxy), "--etcd-port", str(etcd)],
            env=os.environ | {"ETCD_CONFIG_PATH": str(etcd_config(folder, etcd, peer))},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            uri = f"http://127.0.0.1:{proxy}"
            wait_until_ready(uri, process, folder / "logs")
            yield uri
        finally:
            stop(process)


def free_ports(count: int) -> list[int]:
    """Distinct ports of the loopback address on which nothing listens now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def etcd_config(folder: Path, client: int, peer: int) -> Path:
    """The file that moves the embedded etcd, which takes 2379 and 2380 whatever it is told."""
    path = folder / "etcd.yaml"
    path.write_text(
        f"listen-client-urls: http://127.0.0.1:{client}\n"
        f"advertise-client-urls: http://127.0.0.1:{client}\n"
        f"listen-peer-urls: http://127.0.0.1:{peer}\n"
        f"initial-advertise-peer-urls: http://127.0.0.1:{peer}\n"
        f"initial-cluster: default=http://127.0.0.1:{peer}\n"
    )
    return path


def wait_until_ready(uri: str, process: subprocess.Popen[bytes], logs: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client = MilvusClient(uri=uri, timeout=2)
            client.list_collections(timeout=5)
            client.close()
        except Exception:
            time.sleep(0.5)
        else:
            return
    tails = [
        f"{path.name}: ...{path.read_text(errors='replace')[-LOG_TAIL:]}"
        for path in map(logs.joinpath, LOGS)
        if path.exists()
    ]
    raise RuntimeError(
        "\n".join([f"Milvus at {uri} did not get ready; its logs end with:", *tails])
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Lets the wrapper end its server; failing that, kills both."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
