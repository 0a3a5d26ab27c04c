"""A real Milvus server from the package `milvus`, started and stopped by the tests."""

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


class Server:
    """A server that keeps its data in a folder: it can be killed, and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it answers.

        It gets new ports each time: the wrapper takes the next port where connections to the
        previous one have just been cut.
        """
        proxy, etcd, peer = free_ports(3)
        self.uri = f"http://127.0.0.1:{proxy}"
        program = Path(sys.executable).parent / "milvus-server"
        with (self.folder / "server.log").open("a") as output:
            self._process = subprocess.Popen(
                [
                    program,
                    "--data",
                    self.folder,
                    "--proxy-port",
                    f"{proxy}",
                    "--etcd-port",
                    f"{etcd}",
                ],
                env=os.environ | {"ETCD_CONFIG_PATH": str(etcd_config(self.folder, etcd, peer))},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until_ready(self.uri, self._process, self.folder / "logs")
        except RuntimeError:
            self.stop()
            raise

    def kill(self) -> None:
        """Send signal 9 to the wrapper and to all processes of the server."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Let the wrapper stop its server; kill both if it does not."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def milvus_server(folder: Path) -> Iterator[str]:
    """Yield the URI of a new server that keeps its data in the folder."""
    server = Server(folder)
    server.start()
    try:
        yield server.uri
    finally:
        server.stop()


def free_ports(count: int) -> list[int]:
    """Return distinct free ports of the loopback address."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def etcd_config(folder: Path, client: int, peer: int) -> Path:
    """Write the file that sets the ports of the embedded etcd, by default 2379 and 2380."""
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
        "\n".join([f"Milvus at {uri} was not ready in time; its logs end with:", *tails])
    )
