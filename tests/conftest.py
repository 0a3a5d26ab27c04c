"""The engines that the contract tests run against: Milvus Lite, a server, a container."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from container import milvus_container, unavailable
from pictures import write_pictures
from server import milvus_server

ENGINES = ("lite", "server", "container")
DEFAULT_ENGINES = ("lite", "server")
"""The container runs the same server as `server`: only tests that are marked for it use it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine", action="append", choices=ENGINES, help="run on this engine; repeatable"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        selected = metafunc.config.getoption("--engine") or ENGINES
        marker = metafunc.definition.get_closest_marker("engines")
        allowed = marker.args if marker else DEFAULT_ENGINES
        engines = [engine for engine in selected if engine in allowed]
        metafunc.parametrize("engine", engines, scope="session")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in an empty folder: some write files to the current one."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def server(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """Yield the URI of the running server; None for Milvus Lite, which has one file per test."""
    if engine == "lite":
        yield None
    elif engine == "server":
        with milvus_server(tmp_path_factory.mktemp("milvus")) as uri:
            yield uri
    elif reason := unavailable():
        pytest.skip(reason)
    else:
        with milvus_container() as uri:
            yield uri


@pytest.fixture
def uri(server: str | None, tmp_path: Path) -> str:
    """Return the URI of a store that the test may write to."""
    return server or str(tmp_path / "store.db")


@pytest.fixture
def dataset() -> str:
    """Return a dataset name that no other test uses, because the servers are shared."""
    return f"t_{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def clothing() -> Path:
    """Return the folder of the clothing photos: `train` and `validation`, each by class."""
    root = Path(__file__).parents[1]
    folder = Path(os.environ.get("MM_MILVUS_CLOTHING", root.parent / "shared/data/clothing"))
    if not folder.is_dir():
        pytest.skip("no clothing photos: name their folder in MM_MILVUS_CLOTHING")
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that returns the folder of a small model of an architecture, built once."""
    import torch

    from small_models import BUILDERS

    root = tmp_path_factory.mktemp("models")

    def folder(name: str) -> Path:
        if not (root / name).exists():
            torch.manual_seed(0)
            BUILDERS[name](root / name)
        return root / name

    return folder


@pytest.fixture(scope="session")
def emoji() -> Path:
    """Return the folder of the bundled example data."""
    return Path(__file__).parents[1] / "examples" / "emoji"


@pytest.fixture
def folder(tmp_path: Path, emoji: Path) -> Path:
    """Return a folder of six pictures, each with the captions NAME and `NAME emoji`."""
    return write_pictures(tmp_path / "pictures", emoji)
