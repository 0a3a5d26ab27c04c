"""Files and folders that appear under their name complete, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from mm_milvus.errors import OutputError
from mm_milvus.text import one_line


@contextmanager
def atomic_file(path: Path, *, sync: bool = False) -> Iterator[IO[bytes]]:
    """Open a binary file that replaces `path` when the block ends without an exception.

    Until then it has a hidden name in the same folder, and it is deleted when the block fails. A
    process that is killed leaves the hidden file behind: see `leftovers`.

    Args:
        path: Where the file appears.
        sync: Whether its bytes must be on the disk before it appears.

    Yields:
        The open file, to be written to.

    Raises:
        OutputError: When the file system refuses to open, write or rename it.
    """
    unfinished = _unfinished(path)
    try:
        with unfinished.open("wb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        if not _is_about(error, unfinished):
            raise
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Make a folder that appears as `path` when the block ends without an exception.

    Args:
        path: Where the folder appears; nothing may be there yet.

    Yields:
        The new folder under its hidden name, to be filled.

    Raises:
        OutputError: When the file system refuses to make, fill or rename it.
    """
    unfinished = _unfinished(path)
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.rename(path)
    except OSError as error:
        if not _is_about(error, unfinished):
            raise
        raise unwritable(path, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def leftovers(folder: Path, pattern: str) -> list[Path]:
    """Return the hidden files that killed processes left of files that match the pattern."""
    return sorted(folder.glob(_unfinished(Path(pattern)).name))


def unwritable(path: Path, error: OSError) -> OutputError:
    """Return the error of a path that cannot be written, with the file system's reason."""
    reason = one_line(error.strerror or error)
    return OutputError(
        f"{path} cannot be written: {reason}; free some space, or name another folder"
    )


def _is_about(error: OSError, path: Path) -> bool:
    """Return whether an error concerns a file or folder: one of another file names that file."""
    if isinstance(error, ConnectionError | TimeoutError):
        return False
    return error.filename is None or Path(error.filename).is_relative_to(path)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")
