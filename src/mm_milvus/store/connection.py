"""A connection to one Milvus engine, chosen by its URI; its errors become `StoreError`."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from milvus_lite.db import MilvusLite
from milvus_lite.exceptions import DataDirLockedError
from milvus_lite.server_manager import server_manager_instance
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from mm_milvus.errors import StoreError
from mm_milvus.store import quiet as _quiet  # noqa: F401 - importing it is enough
from mm_milvus.store.address import (
    checked_uri,
    is_same_file,
    local_path,
    public_uri,
    secrets,
)
from mm_milvus.store.lifetime import Lifetime, in_child_processes
from mm_milvus.store.tls import tls_options

CONNECT_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 60.0
"""pymilvus retries a transient failure, with backoff, until a call is this old."""

_users: Counter[Path] = Counter()
_users_lock = threading.RLock()
"""Number of open stores of this process per local file: they share one embedded engine, which one
thread must not start while another stops it."""


def _forget_users() -> None:
    """Forget the stores of the parent process, in which another thread may hold the lock."""
    global _users_lock
    _users.clear()
    _users_lock = threading.RLock()


in_child_processes(_forget_users)


class Store:
    """An open connection to Milvus Lite (a local `.db` file), to a server or to a cluster.

    Every verb takes one in place of a URI, and leaves it open. A store is safe to share between
    threads, and belongs to one process: after a fork, the child opens its own. Close it at the end,
    or use it in a `with` block:

        with Store("http://localhost:19530", token="root:Milvus") as store:
            ingest("./photos", store=store)
            tune("photos", store)

    Attributes:
        uri: The URI, without the user and password that it may carry.
    """

    def __init__(
        self,
        uri: str | os.PathLike[str],
        *,
        token: str | None = None,
        db_name: str | None = None,
    ) -> None:
        """Connect.

        Args:
            uri: A path that ends in `.db`, which is created if it does not exist; or
                `http(s)://host:port`. The certificates of https are named in the environment:
                `MM_MILVUS_CA_CERT`, `MM_MILVUS_CLIENT_CERT`, `MM_MILVUS_CLIENT_KEY`.
            token: `user:password` or an API key; never shown in a message.
            db_name: The database inside a server (default: the server's default).

        Raises:
            StoreError: When the engine cannot be reached.
        """
        uri = checked_uri(uri)
        self.uri = public_uri(uri)
        self._lifetime = Lifetime(f"the store {self.uri}")
        self._secrets = [secret for secret in (token, *secrets(uri)) if secret]
        self._db_name = db_name or ""
        self._path = local_path(uri)
        with self.explained(f"cannot open {self.uri}", remedy=self._open_remedy()), self._alone():
            if self._path:
                self._path = _path_in_use(self._path)
            self._client = MilvusClient(
                uri=str(self._path) if self._path else uri,
                token=token or "",
                db_name=self._db_name,
                timeout=CONNECT_TIMEOUT_S,
                dedicated=True,
                **tls_options(uri, os.environ),
            )
            if self._path:
                _users[self._path] += 1

    @property
    def client(self) -> MilvusClient:
        """The pymilvus client of the connection.

        Raises:
            StoreError: When the store is closed, or was opened by a parent process.
        """
        self._lifetime.check()
        return self._client

    @property
    def embedded(self) -> bool:
        """Whether the engine is Milvus Lite, inside this process."""
        return self._path is not None

    @cached_property
    def has_null(self) -> bool:
        """Whether columns of a new collection can be nullable: Milvus Lite 3, a server from 2.5."""
        if self.embedded:
            return True
        with self.explained(f"cannot ask {self.uri} for its version"):
            version = str(self.client.get_server_version(timeout=CALL_TIMEOUT_S))
        numbers = re.match(r"v?(\d+)\.(\d+)", version)
        return numbers is not None and (int(numbers[1]), int(numbers[2])) >= (2, 5)

    def remove_half_made(self, collection: str) -> bool:
        """Remove the unusable rest of a collection; return whether there was one.

        Milvus Lite makes the folder of a collection first and its schema last, and drops them in
        any order: a process that was killed in between leaves a folder which is no collection,
        but prevents one of this name from being created. A server leaves nothing.
        """
        broken = [
            folder for folder in self._folders(collection) if not (folder / "schema.json").exists()
        ]
        for folder in broken:
            shutil.rmtree(folder)
        return bool(broken)

    def size_on_disk(self, collection: str) -> int | None:
        """Return the size of a collection's files in bytes; None for a server, which has no call.

        Args:
            collection: The engine's name of the collection, not an alias.
        """
        if self._path is None:
            return None
        size = 0
        for file in (file for folder in self._folders(collection) for file in folder.rglob("*")):
            with suppress(FileNotFoundError):  # a compaction has just removed it
                size += file.stat().st_size if file.is_file() else 0
        return size

    def _folders(self, collection: str) -> list[Path]:
        """Return the folders of Milvus Lite that hold a collection, one per database."""
        return [] if self._path is None else [*self._path.glob(f"**/collections/{collection}")]

    def wait_for_embedded_index(self, collection: str) -> None:
        """Wait until Milvus Lite has indexed the flushed rows of a collection.

        It does so in a thread of its own and scans the rows until then; no call of its protocol
        reports that. Does nothing for a server, or where this Milvus Lite has no such thread.

        Args:
            collection: The name of the collection.
        """
        servers = getattr(server_manager_instance, "_servers", {})
        if str(self._path) not in servers:
            return
        _, database, _ = servers[str(self._path)]
        embedded = database.get_collection(collection, database_name=self._db_name or "default")
        getattr(embedded, "_wait_for_bg", lambda: None)()

    def close(self) -> None:
        """Close the connection; another process can open a local file from now on.

        What other threads are doing with the store ends with a StoreError. Closing it again, or in
        a child process, does nothing.
        """
        if self._lifetime.is_inherited:
            return
        with self._alone():
            if self._lifetime.closed:
                return
            self._lifetime.closed = True
            self._client.close()
            if self._path:
                _users[self._path] -= 1
                if _users[self._path] == 0:
                    server_manager_instance.release_server(str(self._path))

    def __enter__(self) -> Self:
        """Enter a block that ends with `close`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    @contextmanager
    def explained(self, failure: str, *, remedy: str = "") -> Iterator[None]:
        """Turn an error of pymilvus inside the block into a `StoreError` of one line.

        Args:
            failure: What failed; the message begins with it.
            remedy: What to do about it; the message ends with it.
        """
        try:
            yield
        except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError) as error:
            self._lifetime.check()
            reason = self._reason(error)
            message = f"{failure}: {reason}" + (f"; {remedy}" if remedy else "")
            raise StoreError(message) from error

    def _reason(self, error: Exception) -> str:
        text = str(getattr(error, "message", "") or error)
        if self._path and "Open local milvus failed" in text:
            text = _local_failure(self._path)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return re.sub(r"\s+", " ", text).strip() or type(error).__name__

    def _alone(self) -> AbstractContextManager[object]:
        """Keep other threads from opening or closing a local file inside the block."""
        return _users_lock if self._path else nullcontext()

    def _open_remedy(self) -> str:
        if self._path:
            return "close the other process, or name another file (`store`)"
        return "check that the server runs, and `store`, `token` and `db_name`"


StoreLike = str | os.PathLike[str] | Store
"""What verbs take as `store`: the URI of a store, or an open `Store`."""


def store_uri(store: StoreLike) -> str:
    """Return the URI of a store, without the user and password that it may carry."""
    return store.uri if isinstance(store, Store) else public_uri(checked_uri(store))


def is_missing_file(store: StoreLike) -> bool:
    """Return whether a URI names a local file that does not exist: opening would create it."""
    if isinstance(store, Store):
        return False
    path = local_path(checked_uri(store))
    return path is not None and not path.exists()


def require_file(store: StoreLike) -> None:
    """Raise StoreError when the URI names a local Milvus file that does not exist."""
    if is_missing_file(store):
        raise StoreError(
            f"{store_uri(store)} does not exist; ingest a dataset into it first, "
            "or name another file (`store`)"
        )


@contextmanager
def opened(store: StoreLike, *, must_exist: bool = False) -> Iterator[Store]:
    """Open a store by its URI, and close it at the end; leave an open one open.

    Args:
        store: A URI, or an open `Store`.
        must_exist: Whether a local file must exist; otherwise it is created.

    Yields:
        The open store.

    Raises:
        StoreError: When the engine cannot be reached, or the file must exist and does not.
    """
    if isinstance(store, Store):
        yield store
        return
    if must_exist:
        require_file(store)
    with Store(store) as connected:
        yield connected


def _path_in_use(path: Path) -> Path:
    """Return the path that the engine of an open file was started with."""
    in_use = [other for other, count in _users.items() if count and is_same_file(path, other)]
    return in_use[0] if in_use else path


def _local_failure(path: Path) -> str:
    """Return why the embedded engine cannot open a file; pymilvus does not pass the reason on."""
    try:
        MilvusLite(str(path)).close()
    except DataDirLockedError:
        return "another process has it open"
    except Exception as error:  # the engine raises whatever its storage raises
        return f"{type(error).__name__}: {error}"
    return "the embedded engine did not start"
