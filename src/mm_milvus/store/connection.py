"""One Milvus engine, told apart by its URI alone; its errors in our words."""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import grpc
from milvus_lite.db import MilvusLite
from milvus_lite.exceptions import DataDirLockedError
from milvus_lite.server_manager import server_manager_instance
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from mm_milvus.errors import StoreError
from mm_milvus.store.tls import tls_options

CONNECT_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 60.0
"""pymilvus retries a transient failure, with backoff, until a call is this old."""

# The embedded engine logs a traceback for each refused call. A library must not print it to
# the last-resort handler; a host that configures logging still gets it.
for _name in ("milvus_lite", "grpc._server"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


_users: Counter[Path] = Counter()
_users_lock = threading.Lock()
"""How many connections of this process use each local file: they share one embedded engine, which
is not started by one thread while another ends it."""


class Store:
    """A connection to Milvus Lite (a local `.db` file), a server or a cluster.

    uri      a path that ends in `.db`, or `http(s)://host:port`; `tls_options` tells where the
             certificates come from
    token    `user:password` or an API key; never shown in a message
    db_name  the database inside a server

    Raises `StoreError` when the engine cannot be reached. Safe to share between threads; close
    it, or use it in a `with` block.
    """

    def __init__(
        self,
        uri: str | os.PathLike[str],
        *,
        token: str | None = None,
        db_name: str | None = None,
    ) -> None:
        """Connect."""
        uri = os.fspath(uri)
        self.uri = public_uri(uri)
        self._secrets = [secret for secret in (token, urlsplit(uri).password) if secret]
        self._local = _local_path(uri)
        with self.explained(f"cannot open {self.uri}", remedy=self._open_remedy()), self._alone():
            self.client = MilvusClient(
                uri=str(self._local) if self._local else uri,
                token=token or "",
                db_name=db_name or "",
                timeout=CONNECT_TIMEOUT_S,
                **tls_options(uri, os.environ),
            )
            if self._local:
                _users[self._local] += 1

    @property
    def embedded(self) -> bool:
        """Whether the engine is Milvus Lite, inside this process."""
        return self._local is not None

    def remove_half_made(self, collection: str) -> bool:
        """Remove what Milvus Lite left of a collection; whether there was something.

        It makes a collection's folder first and its schema last, and drops them in any order: a
        process that was killed in between leaves a folder which is no collection, and in the way
        of one. A server leaves nothing.
        """
        if self._local is None:
            return False
        left = [
            folder
            for folder in self._local.glob(f"**/collections/{collection}")
            if not (folder / "schema.json").exists()
        ]
        for folder in left:
            shutil.rmtree(folder)
        return bool(left)

    def close(self) -> None:
        """Let go of the engine; a local file can be opened by another process from now on."""
        with self._alone():
            self.client.close()
            if self._local:
                _users[self._local] -= 1
                if _users[self._local] == 0:
                    server_manager_instance.release_server(str(self._local))

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
        """Turn what pymilvus raises inside the block into a `StoreError` of one line."""
        try:
            yield
        except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError) as error:
            reason = self._reason(error)
            message = f"{failure}: {reason}" + (f"; {remedy}" if remedy else "")
            raise StoreError(message) from error

    def _reason(self, error: Exception) -> str:
        text = str(getattr(error, "message", "") or error)
        if self._local and "Open local milvus failed" in text:
            text = _why_local_fails(self._local)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return re.sub(r"\s+", " ", text).strip() or type(error).__name__

    def _alone(self) -> AbstractContextManager[object]:
        """No other thread opens or closes a local file inside the block."""
        return _users_lock if self._local else nullcontext()

    def _open_remedy(self) -> str:
        if self._local:
            return "close the other process, or name another file with --uri"
        return "check that the server runs, and --uri, --token and --db-name"


StoreLike = str | os.PathLike[str] | Store
"""What verbs take: the URI of a store, or an open `Store`."""


def public_uri(uri: str) -> str:
    """The URI without the user and password that it may carry."""
    parts = urlsplit(uri)
    if not parts.scheme or "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def store_uri(store: StoreLike) -> str:
    """Return the URI of a store, without the user and password that it may carry."""
    return store.uri if isinstance(store, Store) else public_uri(os.fspath(store))


def is_missing_file(store: StoreLike) -> bool:
    """Return whether a URI names a local file that does not exist: opening would create it."""
    if isinstance(store, Store):
        return False
    path = _local_path(os.fspath(store))
    return path is not None and not path.exists()


def require_file(store: StoreLike) -> None:
    """Raise StoreError when the URI names a local Milvus file that does not exist."""
    if is_missing_file(store):
        raise StoreError(f"{store} does not exist; ingest a dataset into it first, or correct it")


@contextmanager
def opened(store: StoreLike, *, must_exist: bool = False) -> Iterator[Store]:
    """Open a store by its URI, and close it at the end; one that is open is left open.

    Args:
        store: A URI, or an open `Store`.
        must_exist: Whether a local file must exist; otherwise it is created.

    Yields:
        The open store.

    Raises:
        StoreError: When the engine cannot be reached.
    """
    if isinstance(store, Store):
        yield store
        return
    if must_exist:
        require_file(store)
    with Store(store) as connected:
        yield connected


def _local_path(uri: str) -> Path | None:
    if re.match(r"(https?|tcp|unix):", uri):
        return None
    if re.match(r"[a-z][a-z0-9+.-]+://", uri):
        raise StoreError(
            f"cannot open {public_uri(uri)}: Milvus is reached by http:// or https://, "
            "or by the path of a local .db file"
        )
    path = Path(uri).expanduser()
    if path.suffix != ".db":
        raise StoreError(
            f"cannot open {uri}: the path of a local Milvus file ends in .db; "
            f"write {uri.rstrip('/')}.db, or http://HOST:PORT for a server"
        )
    if not path.parent.is_dir():
        raise StoreError(
            f"cannot open {uri}: the folder {path.parent} does not exist; create it, "
            "or name another file with --uri"
        )
    return path.absolute()


def _why_local_fails(path: Path) -> str:
    """Ask the embedded engine itself: pymilvus swallows its reason."""
    if path.is_file():
        return "it is a file, and Milvus Lite 3 keeps a folder under that name"
    try:
        MilvusLite(str(path)).close()
    except DataDirLockedError:
        return "another process has it open"
    except Exception as error:  # the engine raises whatever its storage raises
        return f"{type(error).__name__}: {error}"
    return "the embedded engine did not start"


def first(rows: Any) -> Any:
    """The first of the rows that pymilvus answered with."""
    return next(iter(rows))
