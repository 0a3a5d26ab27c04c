"""The engines that the contract tests run against: Milvus Lite, a server, a container."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from container import milvus_container, unavailable
from pictures import PICTURES, caption
from server import milvus_server

ENGINES = ("lite", "server", "container")
USUAL = ("lite", "server")
"""The container runs the same server: of it, ingest and search are asked, which mark themselves."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine", action="append", choices=ENGINES, help="run on this engine; repeatable"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        asked = metafunc.config.getoption("--engine") or ENGINES
        marker = metafunc.definition.get_closest_marker("engines")
        engines = [engine for engine in asked if engine in (marker.args if marker else USUAL)]
        metafunc.parametrize("engine", engines, scope="session")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejects files are written where one works."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def server(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """The URI of the running server; None for Milvus Lite, which is a file a test."""
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
    """Where a test may store."""
    return server or str(tmp_path / "store.db")


@pytest.fixture
def dataset() -> str:
    """A name that no other test uses: the servers are shared."""
    return f"t_{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def clothing() -> Path:
    """The clothing photos, in a folder a class under `train` and `validation`."""
    root = Path(__file__).parents[1]
    folder = Path(os.environ.get("MM_MILVUS_CLOTHING", root.parent / "shared/data/clothing"))
    if not folder.is_dir():
        pytest.skip("the clothing photos are not here: name their folder in MM_MILVUS_CLOTHING")
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a saved small model, by its architecture; built once."""
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
    """The bundled example data."""
    return Path(__file__).parents[1] / "examples" / "emoji"


@pytest.fixture
def folder(tmp_path: Path, emoji: Path) -> Path:
    """Six real pictures; each with its name as the first caption and `NAME emoji` as the second."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in PICTURES:
        shutil.copy(emoji / "images" / f"{name}.png", folder)
        caption(folder, name, name, f"{name} emoji")
    return folder
