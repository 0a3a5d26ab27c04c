"""Files and folders appear complete, or not at all."""

from __future__ import annotations

import pytest

from mm_milvus.atomic import atomic_file, atomic_folder, leftovers
from mm_milvus.errors import OutputError


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_appears_when_the_block_ends(tmp_path, sync):
    path = tmp_path / "report.json"
    path.write_text("previous")
    with atomic_file(path, sync=sync) as file:
        file.write(b"new")
        assert path.read_text() == "previous"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_block_leaves_the_previous_file(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("previous")

    def fail() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        fail()
    assert path.read_text() == "previous"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_named_with_the_reason(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match=r"file/report\.json cannot be written: Not a directory"),
        atomic_file(tmp_path / "file" / "report.json"),
    ):
        raise AssertionError("the block must not begin")


@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file", "other.txt"), ConnectionResetError(104, "reset")]
)
def test_errors_of_the_block_that_are_about_something_else_are_unchanged(tmp_path, atomic, error):
    with pytest.raises(type(error)) as raised, atomic(tmp_path / "out"):
        raise error
    assert raised.value is error
    assert list(tmp_path.iterdir()) == []


def test_the_files_of_a_killed_process_are_found(tmp_path):
    with atomic_file(tmp_path / "part-1.bin") as file:
        (tmp_path / "part-2.bin").write_bytes(b"")
        assert [path.name for path in leftovers(tmp_path, "part-*.bin")] == [".part-1.bin.tmp"]
        assert file.name == str(leftovers(tmp_path, "part-*.bin")[0])
    assert leftovers(tmp_path, "part-*.bin") == []


def test_a_folder_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "deep" / "model"
    with atomic_folder(path) as folder:
        (folder / "config.json").write_text("{}")
        assert not path.exists()
    assert [file.name for file in path.iterdir()] == ["config.json"]
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_block_leaves_no_folder(tmp_path):
    def fail() -> None:
        with atomic_folder(tmp_path / "model") as folder:
            (folder / "config.json").write_text("{}")
            raise RuntimeError("half")

    with pytest.raises(RuntimeError, match="half"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_replaced(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("precious")

    def replace() -> None:
        with atomic_folder(tmp_path / "model") as folder:
            (folder / "weights").write_text("new")

    with pytest.raises(OutputError, match="model cannot be written"):
        replace()
    assert (tmp_path / "model" / "weights").read_text() == "precious"
