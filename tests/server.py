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


class Server:
    """A server whose data lies in a folder: it can be killed, and started again on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers.

        Its ports are others each time: the wrapper takes the next one where connections to the
        former one have just been cut.
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
        """Signal 9, to the wrapper and to all of the server."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Let the wrapper end its server; failing that, kill both."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def milvus_server(folder: Path) -> Iterator[str]:
    """The URI of a fresh server whose data lies in the folder."""
    server = Server(folder)
    server.start()
    try:
        yield server.uri
    finally:
        server.stop()


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
