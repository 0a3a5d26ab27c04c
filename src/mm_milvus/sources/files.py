"""Where files lie: a local folder or anything that fsspec reaches."""

from __future__ import annotations

import errno
import os
import posixpath
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from mm_milvus.errors import SourceError
from mm_milvus.images.decode import MAX_BYTES
from mm_milvus.text import one_line

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(?:://|::)")
_INSIDE = re.compile(r"#row=\d+$|\.(?:tar|tar\.gz|tgz)#.+$", re.IGNORECASE | re.DOTALL)
_IN_TABLES = frozenset(
    {
        *("http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hf"),
        *("file", "local", "memory"),
    }
)
"""The URIs that a table may name: some others reach into local files past the table's folder."""

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

    path   absolute, with "/" between its parts; without the protocol
    fs     the fsspec filesystem; None: the local one, without fsspec in between
    """

    path: str
    fs: Any = None

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
        """The folder that it lies in."""
        return Place(posixpath.dirname(self.path.rstrip("/")), self.fs)

    def child(self, relative: str) -> Place:
        """The place at a relative path under this folder."""
        return Place(posixpath.join(self.path, relative), self.fs)

    def is_under(self, folder: Place) -> bool:
        """Whether this lies in the folder, at any depth."""
        return self.fs is folder.fs and self.path.startswith(folder.path.rstrip("/") + "/")

    def relative_to(self, folder: Place) -> str:
        """The path from a folder that this lies in."""
        return self.path[len(folder.path.rstrip("/")) + 1 :]

    def is_file(self) -> bool:
        """Whether a regular file is there."""
        if self.fs is not None:
            return bool(self.fs.isfile(self.path))
        try:
            return Path(self.path).is_file()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return False
            raise

    def is_dir(self) -> bool:
        """Whether a folder is there."""
        return Path(self.path).is_dir() if self.fs is None else bool(self.fs.isdir(self.path))

    def open(self) -> IO[bytes]:
        """The file, to be read and closed. Raises OSError."""
        if self.fs is None:
            return Path(self.path).open("rb")
        return cast("IO[bytes]", self.fs.open(self.path, "rb"))

    def read(self) -> bytes:
        """The whole file, up to the bound on an image file. Raises OSError, ValueError above it."""
        if self.fs is None and not stat.S_ISREG(Path(self.path).stat().st_mode):
            raise ValueError("it is not a regular file")
        with self.open() as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"the file is larger than {MAX_BYTES // 2**20} MiB")
        return bytes(data)

    def entries(self) -> list[Entry]:
        """What the folder holds, sorted by name. Raises OSError."""
        found = self._scan() if self.fs is None else self._list()
        return sorted(found, key=lambda entry: entry.name)

    def identity(self) -> object:
        """What two paths of one folder have in common, however links lead there."""
        if self.fs is not None:
            return self.path
        status = Path(self.path).stat()
        return status.st_dev, status.st_ino

    def _scan(self) -> Iterator[Entry]:
        with os.scandir(self.path) as entries:
            for entry in entries:
                yield Entry(entry.name, _is_dir(entry))

    def _list(self) -> Iterator[Entry]:
        for info in self.fs.ls(self.path, detail=True):
            name = posixpath.basename(info["name"].rstrip("/"))
            # An object store may list the folder's own marker among its content.
            if name and info["name"].rstrip("/") != self.path.rstrip("/"):
                yield Entry(name, info["type"] == "directory")


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder; links are followed."""

    name: str
    is_dir: bool


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: reading it as a file gives the reason
        return False


def is_uri(text: str) -> bool:
    """Whether a text names a filesystem, as `s3://bucket/key` does."""
    return _SCHEME.match(text) is not None


def locate(path: str | os.PathLike[str]) -> Place:
    """The place that a local path or an fsspec URI names.

    Raises `SourceError` when the filesystem is unknown, or its package is not installed.
    """
    text = os.fspath(path)
    if not is_uri(text):
        return Place(Path(os.path.abspath(Path(text).expanduser())).as_posix())  # noqa: PTH100
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
        raise SourceError(f"{text} cannot be opened: {one_line(error)}; check the URI") from error
    return Place(inner) if isinstance(fs, LocalFileSystem) else Place(inner, fs)


def resolve(written: str, folder: Place, *, allow_outside: bool = False) -> Place:
    """The image that a table in `folder` names, by a path or a URI.

    Raises ValueError, with the reason, when the path leads out of the folder and may not.
    """
    if is_uri(written):
        if "::" in written:
            raise ValueError(f"the chained URI {written} is not read from a table")
        scheme = written.split(":", 1)[0]
        if scheme not in _IN_TABLES and not _is_of(folder, scheme):
            raise ValueError(f"{scheme}:// is not read from a table")
        try:
            place = locate(written)
        except SourceError as error:
            raise ValueError(str(error)) from error
        if place.fs is not None:
            return place
        written = place.path
    if "\0" in written:
        raise ValueError("the image path contains a NUL character")
    base = folder.path.rstrip("/") + "/"
    path = posixpath.normpath(posixpath.join(folder.path, written))
    outside = not path.startswith(base) or (folder.fs is not None and written.startswith("/"))
    if outside and not allow_outside:
        raise ValueError(
            f"the image path {written} leads out of the table's folder: give the table itself, "
            "with --allow-outside, to read it"
        )
    return Place(path, folder.fs)


def _is_of(place: Place, scheme: str) -> bool:
    protocol = () if place.fs is None else place.fs.protocol
    return scheme in ((protocol,) if isinstance(protocol, str) else protocol)


def read_image(uri: str) -> bytes:
    """The image file that an item's `uri` names, as it was stored.

    Raises `SourceError` when it cannot be read, or lies inside a table or a tar shard.
    """
    place = locate(uri)
    try:
        return place.read()
    except Exception as error:  # each filesystem has errors of its own
        if _INSIDE.search(uri):
            raise SourceError(
                f"{uri} lies inside a table or shard and cannot be shown: keep its image as a file"
            ) from error
        raise SourceError(f"{uri} cannot be read: {reason(error)}; check the path") from error


def reason(error: BaseException) -> str:
    """Why a file could not be read, without its name, as one line."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror)
    return one_line(error)
