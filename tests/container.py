"""A real Milvus in a container, run through testcontainers on this machine's Docker engine.

Where no engine answers and the tests run as root on Linux, they start one for as long as the
container runs. The image is the official one where it is available; otherwise
scripts/build-milvus-image.sh makes one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

# Ryuk would be another image to pull, for what the context managers here do. Read on import.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"

import docker
from docker.errors import DockerException, ImageNotFound
from pymilvus import MilvusClient
from testcontainers.core.container import DockerContainer

OFFICIAL_IMAGE = "milvusdb/milvus:v2.6.11"
BUILT_IMAGE = "mm-milvus-test/milvus:2.3.5"
BUILD_SCRIPT = Path(__file__).parents[1] / "scripts" / "build-milvus-image.sh"
# Debian packages, by program, that an engine needs, and that building an image needs.
ENGINE_PACKAGES = {"dockerd": "docker.io", "iptables": "iptables", "ip": "iproute2"}
BUILD_PACKAGES = {"debootstrap": "debootstrap", "xz": "xz-utils"}
PORT = 19530

# A separate bridge: an engine that was killed leaves the addresses of its containers on docker0,
# where they would answer instead of the new ones. The network is reserved for documentation
# (RFC 5737), so nothing else uses it.
BRIDGE = "mm-milvus0"
BRIDGE_ADDRESS = "198.51.100.1/24"

REGISTRY_TIMEOUT_S = 20
PULL_TIMEOUT_S = 900
ENGINE_TIMEOUT_S = 60.0
READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 30.0


def unavailable() -> str | None:
    """Return why no Milvus container can run here, as one line; None if one can."""
    if engine_answers():
        if has_image() or can_build():
            return None
        return f"no image {wanted_image()} is local or can be pulled: name one in MM_MILVUS_IMAGE"
    if sys.platform != "linux":
        return "no Docker engine answers: start Docker"
    if os.geteuid() != 0:
        return "no Docker engine answers: start Docker, or run as root for one of the tests' own"
    if missing(ENGINE_PACKAGES) and not shutil.which("apt-get"):
        return "no Docker engine answers and dockerd, iptables or ip is missing: start Docker"
    return None


@contextmanager
def milvus_container() -> Iterator[str]:
    """Yield the URI of a new Milvus in a container, which is stopped and removed at the end."""
    with ExitStack() as stack:
        if not engine_answers():
            install(ENGINE_PACKAGES)
            stack.enter_context(own_engine())
        container = stack.enter_context(milvus(image()))
        uri = f"http://127.0.0.1:{container.get_exposed_port(PORT)}"
        wait_until_ready(uri, container)
        yield uri


def milvus(name: str) -> DockerContainer:
    """Return a standalone Milvus that keeps its metadata and its data inside the container."""
    return (
        DockerContainer(name)
        .with_command("milvus run standalone")
        .with_env("DEPLOY_MODE", "STANDALONE")
        .with_env("ETCD_USE_EMBED", "true")
        .with_env("ETCD_DATA_DIR", "/var/lib/milvus/etcd")
        .with_env("COMMON_STORAGETYPE", "local")
        .with_kwargs(security_opt=["seccomp=unconfined"])
        .with_exposed_ports(PORT)
    )


def wait_until_ready(uri: str, container: DockerContainer) -> None:
    """Return when a call is answered: Docker's proxy opens the port earlier."""

    def answers() -> bool:
        try:
            client = MilvusClient(uri=uri, timeout=2)
            client.list_collections(timeout=5)
            client.close()
        except Exception:
            return False
        return True

    if not wait_for(answers, READY_TIMEOUT_S, 0.5):
        output, errors = container.get_logs()
        tail = (output + errors).decode(errors="replace")[-2000:]
        raise RuntimeError(f"Milvus at {uri} was not ready in time; its log ends with:\n{tail}")


def wait_for(condition: Callable[[], bool], timeout_s: float, pause_s: float) -> bool:
    """Return whether the condition became true in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(pause_s)
    return False


def wanted_image() -> str:
    return os.environ.get("MM_MILVUS_IMAGE", OFFICIAL_IMAGE)


def image() -> str:
    """Return the name of a local image: the wanted one, otherwise one that is built here."""
    name = wanted_image()
    if is_local(name):
        return name
    if is_published(name):
        with engine(PULL_TIMEOUT_S) as client:
            client.images.pull(name)
        return name
    if "MM_MILVUS_IMAGE" in os.environ:
        raise RuntimeError(f"MM_MILVUS_IMAGE={name}: not local and cannot be pulled: name another")
    if not is_local(BUILT_IMAGE):
        install(BUILD_PACKAGES)
        subprocess.run([BUILD_SCRIPT], check=True, env=os.environ | {"PYTHON": sys.executable})
    return BUILT_IMAGE


def has_image() -> bool:
    name = wanted_image()
    return is_local(name) or is_local(BUILT_IMAGE) or is_published(name)


def is_local(name: str) -> bool:
    with engine() as client:
        try:
            client.images.get(name)
        except ImageNotFound:
            return False
        return True


def is_published(name: str) -> bool:
    """Return whether the registry of the image answers in time: it may be unreachable."""
    with engine(REGISTRY_TIMEOUT_S) as client:
        try:
            client.images.get_registry_data(name)
        except (DockerException, OSError):
            return False
        return True


def can_build() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0 and bool(shutil.which("apt-get"))


@contextmanager
def engine(timeout_s: int = 60) -> Iterator[docker.DockerClient]:
    client = docker.from_env(timeout=timeout_s)
    try:
        yield client
    finally:
        client.close()


def engine_answers() -> bool:
    try:
        with engine() as client:
            return client.ping()
    except (DockerException, OSError):
        return False


def missing(packages: dict[str, str]) -> list[str]:
    """Return the packages whose programs are missing."""
    return [package for program, package in packages.items() if not shutil.which(program)]


def install(packages: dict[str, str]) -> None:
    names = missing(packages)
    if not names:
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
    subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names],
        check=True,
        env=environment,
    )


@contextmanager
def own_engine() -> Iterator[None]:
    """Run a separate Docker engine, to which DOCKER_HOST points inside the block.

    Its images are kept in the cache folder for the next run, so only one engine can run at a
    time: a second one waits.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mm-milvus"
    cache.mkdir(parents=True, exist_ok=True)
    with (
        (cache / "engine.lock").open("w") as lock,
        tempfile.TemporaryDirectory(prefix="mm-milvus-") as folder,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (
            bridge(),
            dockerd(cache / "docker", Path(folder)) as host,
            environ("DOCKER_HOST", host),
        ):
            yield


@contextmanager
def bridge() -> Iterator[None]:
    """Create the network of the containers, and remove that of a run that was killed."""
    remove = ["ip", "link", "delete", BRIDGE]
    subprocess.run(remove, check=False, capture_output=True)
    for command in (
        ["ip", "link", "add", BRIDGE, "type", "bridge"],
        ["ip", "address", "add", BRIDGE_ADDRESS, "dev", BRIDGE],
        ["ip", "link", "set", BRIDGE, "up"],
    ):
        subprocess.run(command, check=True)
    try:
        yield
    finally:
        subprocess.run(remove, check=True)


@contextmanager
def dockerd(images: Path, run: Path) -> Iterator[str]:
    """Yield the address of a new Docker engine; its storage, vfs, works on every file system."""
    host = f"unix://{run}/docker.sock"
    log = run / "dockerd.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                "dockerd",
                "--storage-driver=vfs",
                f"--bridge={BRIDGE}",
                f"--data-root={images}",
                f"--exec-root={run}/exec",
                f"--pidfile={run}/dockerd.pid",
                f"--host={host}",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with environ("DOCKER_HOST", host):
            wait_for(lambda: process.poll() is not None or engine_answers(), ENGINE_TIMEOUT_S, 0.2)
            started = engine_answers()
        if not started:
            tail = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"dockerd did not start; its log ends with:\n{tail}")
        yield host
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def environ(name: str, value: str) -> Iterator[None]:
    """Set an environment variable inside the block."""
    previous = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if previous is None:
            del os.environ[name]
        else:
            os.environ[name] = previous
