"""A full disk: the run fails with a message of one line, and succeeds once there is space."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from changing_dataset import ChangingDataset
from killing import PROCESSES

from mm_milvus.errors import MmMilvusError

pytestmark = pytest.mark.engines("lite")

TMPFS_BYTES = 300_000
LARGEST_FILE = 20_000


def ingest_message(data: ChangingDataset, uri: str, dataset: str, largest: int | None) -> str:
    """Ingest in a process whose files cannot exceed `largest` bytes; return its message."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_ingest, args=(data, uri, dataset, largest, sender))
    process.start()
    sender.close()
    message = receiver.recv()
    process.join()
    return message


def _ingest(
    data: ChangingDataset, uri: str, dataset: str, largest: int | None, sender: Any
) -> None:
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
def data(tmp_path) -> ChangingDataset:
    data = ChangingDataset(tmp_path, seed=2, max_items=400)
    while len(data.rows() if data.folder.exists() else ()) < 500:
        data.change()
    return data


def test_a_file_that_cannot_grow(data, uri, dataset):
    message = ingest_message(data, uri, dataset, LARGEST_FILE)
    assert "cannot write" in message
    assert "\n" not in message
    assert ingest_message(data, uri, dataset, None) == "done"
    data.check(uri, dataset)


@pytest.fixture
def small_disk(tmp_path) -> Path:
    """Mount a disk of a few hundred kilobytes, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", folder]
    if shutil.which("mount") is None:
        pytest.skip("the program mount is missing")
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_full(data, small_disk, dataset):
    uri = str(small_disk / "store.db")
    filler = small_disk / "filler"
    filler.write_bytes(bytes(TMPFS_BYTES // 2))
    message = ingest_message(data, uri, dataset, None)
    assert "cannot" in message
    assert "\n" not in message
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert ingest_message(data, uri, dataset, None) == "done"
    data.check(uri, dataset)
