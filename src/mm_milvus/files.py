"""Local files, and files of any filesystem that fsspec reaches, behind one interface."""

from __future__ import annotations

import errno
import io
import os
import posixpath
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

from mm_milvus.data_uri import decode_data_uri, is_data_uri
from mm_milvus.errors import SourceError
from mm_milvus.remote import (
    DEFAULT_FETCH,
    FetchError,
    FetchOptions,
    exists,
    fetch,
    http_failure,
    is_http,
    without_secrets,
)
from mm_milvus.text import one_line

MAX_FILE_BYTES = 64 * 2**20
"""Largest image file that is read. Text next to images has the same limit."""

BUFFER_BYTES = 2**20
"""Bytes that are read at a time from a stream of a remote file."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(?:://|::)")
_INSIDE = re.compile(r"#row=\d+$|\.(?:tar|tar\.\w+|tgz|tzst)#.+$", re.IGNORECASE | re.DOTALL)

_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "hf": "huggingface_hub",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A path in a filesystem.

    Attributes:
        path: Absolute, with "/" between its parts, without the protocol.
        fs: The fsspec filesystem; None: the local one, which is used without fsspec.
        fetch: Timeouts and retries of files over HTTP.
    """

    path: str
    fs: Any = None
    fetch: FetchOptions = DEFAULT_FETCH

    @property
    def uri(self) -> str:
        """The absolute path of a local file, the full URI of any other."""
        return self.path if self.fs is None else str(self.fs.unstrip_protocol(self.path))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return posixpath.basename(self.path.rstrip("/"))

    @property
    def parent(self) -> Place:
        """The folder that contains the path."""
        return replace(self, path=posixpath.dirname(self.path.rstrip("/")))

    def child(self, relative: str) -> Place:
        """Return the place of a path relative to this folder."""
        return replace(self, path=posixpath.join(self.path, relative))

    def is_at(self, folder: Place) -> bool:
        """Return whether the path is that of a folder, which may end with a slash."""
        return self.fs is folder.fs and self.path.rstrip("/") == folder.path.rstrip("/")

    def is_under(self, folder: Place) -> bool:
        """Return whether the path is in the folder, at any depth."""
        return self.fs is folder.fs and self.path.startswith(_prefix(folder))

    def relative_to(self, folder: Place) -> str:
        """Return the path relative to a folder that contains it."""
        return self.path[len(_prefix(folder)) :]

    def is_file(self) -> bool:
        """Return whether the path is an existing regular file."""
        if is_http(self.fs):
            return exists(self.fs, self.path, self.fetch)
        if self.fs is not None:
            return bool(self.fs.isfile(self.path))
        try:
            return Path(self.path).is_file()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return False
            raise

    def is_dir(self) -> bool:
        """Return whether the path is an existing folder."""
        return Path(self.path).is_dir() if self.fs is None else bool(self.fs.isdir(self.path))

    def open(self) -> IO[bytes]:
        """Open the file for reading; the caller closes it. Raises OSError."""
        if self.fs is None:
            return Path(self.path).open("rb")
        stream = self.fs.open(self.path, "rb")
        return cast("IO[bytes]", io.BufferedReader(_WholeReads(stream), BUFFER_BYTES))

    def read(self, *, special: bool = False) -> bytes:
        """Read the whole file.

        Args:
            special: Also read pipes and devices of the local filesystem. Reading a pipe blocks
                until another process has written to it.

        Raises:
            OSError: When the file cannot be read; fsspec filesystems raise errors of their own.
            ValueError: When it is larger than `MAX_FILE_BYTES`, or a special file.
        """
        if self.fs is None and not special and not stat.S_ISREG(Path(self.path).stat().st_mode):
            raise ValueError("it is not a regular file")
        if is_http(self.fs):
            data = fetch(self.fs, self.path, MAX_FILE_BYTES, self.fetch)
        else:
            with self.open() as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(f"the file is larger than {MAX_FILE_BYTES // 2**20} MiB")
        return bytes(data)

    def entries(self) -> list[FolderEntry]:
        """Return the content of the folder, sorted by name. Raises OSError."""
        entries = self._scan() if self.fs is None else self._list()
        return sorted(entries, key=lambda entry: entry.name)

    def identity(self) -> object:
        """Return a value that is equal for all paths of one folder, through links as well."""
        if self.fs is not None:
            return self.path
        status = Path(self.path).stat()
        return status.st_dev, status.st_ino

    def _scan(self) -> Iterator[FolderEntry]:
        with os.scandir(self.path) as entries:
            for entry in entries:
                yield FolderEntry(entry.name, _is_dir(entry))

    def _list(self) -> Iterator[FolderEntry]:
        for info in self.fs.ls(self.path, detail=True):
            name = posixpath.basename(info["name"].rstrip("/"))
            # An object store may list the folder's own marker among its content.
            if name and info["name"].rstrip("/") != self.path.rstrip("/"):
                yield FolderEntry(name, info["type"] == "directory")


class _WholeReads(io.RawIOBase):
    """The raw stream below a buffer, which reads on where a remote file gives less than asked."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._stream.seekable())

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, origin: int = 0) -> int:
        return int(self._stream.seek(offset, origin))

    def tell(self) -> int:
        return int(self._stream.tell())

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            super().close()


def _prefix(folder: Place) -> str:
    """Return what the paths of all files in a folder begin with; the root of an archive is ""."""
    return folder.path.rstrip("/") + "/" if folder.path else ""


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """A file or folder in a folder.

    Attributes:
        name: The last part of its path.
        is_dir: Whether it is a folder, or a link to one.
    """

    name: str
    is_dir: bool


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: reading it as a file gives the reason
        return False


def is_uri(text: str) -> bool:
    """Return whether a text names a filesystem, as `s3://bucket/key` does."""
    return _SCHEME.match(text) is not None


def locate(path: str | os.PathLike[str], fetch: FetchOptions = DEFAULT_FETCH) -> Place:
    """Return the place that a local path or an fsspec URI names; it need not exist.

    Args:
        path: The path or URI.
        fetch: Timeouts and retries of files over HTTP (default: those of `FetchOptions`).

    Raises:
        SourceError: When the filesystem is unknown, or its package is not installed.
    """
    text = os.fspath(path)
    if not is_uri(text):
        local = Path(os.path.abspath(Path(text).expanduser())).as_posix()  # noqa: PTH100
        return Place(local, fetch=fetch)
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    try:
        fs, inner = fsspec.core.url_to_fs(text)
    except ImportError as error:
        scheme = text.split(":", 1)[0].lower()
        package = _PACKAGES.get(scheme)
        remedy = f"pip install {package}" if package else one_line(error)
        raise SourceError(
            f"{text}: {scheme}:// needs a package that is not installed: {remedy}"
        ) from error
    except Exception as error:  # each filesystem has errors of its own
        raise SourceError(
            f"{without_secrets(text)} cannot be opened: {one_line(error)}; check the URI"
        ) from error
    return Place(inner, None if isinstance(fs, LocalFileSystem) else fs, fetch)


def read_image(uri: str | os.PathLike[str], *, special: bool = False) -> bytes:
    """Read the image file that a path or URI names, such as the `uri` of an item or a hit.

    Args:
        uri: A local path, an fsspec URI, or a `data:` URI.
        special: As in `Place.read`.

    Returns:
        The content of the file.

    Raises:
        SourceError: When the file cannot be read, or is inside a table or a tar shard.
    """
    text = os.fspath(uri)
    if is_data_uri(text):
        try:
            return decode_data_uri(text)
        except ValueError as error:
            raise SourceError(f"the image cannot be read: {error}; check the URI") from error
    shown = without_secrets(text)
    place = locate(text)
    try:
        return place.read(special=special)
    except Exception as error:  # each filesystem has errors of its own
        if _INSIDE.search(text):
            raise SourceError(
                f"{shown} is inside a table or shard and cannot be read: keep its image as a file"
            ) from error
        raise SourceError(
            f"{shown} cannot be read: {read_failure(error)}; check the path"
        ) from error


def read_failure(error: BaseException) -> str:
    """Return why a file could not be read, as one line without the file's name."""
    if isinstance(error, FetchError):
        return str(error)
    if reason := http_failure(error):
        return reason
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror)
    return without_secrets(one_line(error))
