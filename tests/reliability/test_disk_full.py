"""A disk without space: the run fails in one line, and goes on once there is some."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from changing import Changing
from killing import PROCESSES

from mm_milvus.errors import MmMilvusError

pytestmark = pytest.mark.engines("lite")

TMPFS_BYTES = 300_000
LARGEST_FILE = 20_000


def refused(data: Changing, uri: str, dataset: str, largest: int | None) -> str:
    """Ingest in a process whose files may not grow over `largest` bytes; what it says."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_ingest, args=(data, uri, dataset, largest, sender))
    process.start()
    sender.close()
    said = receiver.recv()
    process.join()
    return said


def _ingest(data: Changing, uri: str, dataset: str, largest: int | None, sender: Any) -> None:
    os.chdir(data.folder.parent)
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    try:
        data.ingest(uri, dataset)
    except MmMilvusError as error:
        sender.send(str(error))
    else:
        sender.send("done")


@pytest.fixture
def data(tmp_path, monkeypatch) -> Changing:
    monkeypatch.chdir(tmp_path)
    data = Changing(tmp_path, seed=2, most=400)
    while len(data.rows() if data.folder.exists() else ()) < 500:
        data.change()
    return data


def test_a_file_that_may_not_grow(data, uri, dataset):
    said = refused(data, uri, dataset, LARGEST_FILE)
    assert "cannot write" in said
    assert "\n" not in said
    assert refused(data, uri, dataset, None) == "done"
    data.check(uri, dataset)


@pytest.fixture
def small_disk(tmp_path) -> Path:
    """A disk in memory of a few hundred kilobytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", place]
    if shutil.which("mount") is None:
        pytest.skip("there is no mount program")
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_is_full(data, small_disk, dataset):
    uri = str(small_disk / "store.db")
    filler = small_disk / "filler"
    filler.write_bytes(bytes(TMPFS_BYTES // 2))
    said = refused(data, uri, dataset, None)
    assert "cannot" in said
    assert "\n" not in said
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert refused(data, uri, dataset, None) == "done"
    data.check(uri, dataset)
