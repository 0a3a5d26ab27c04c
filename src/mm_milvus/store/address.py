"""The URI of a store: the address of a server, or the path of a local Milvus Lite file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

from mm_milvus.errors import StoreError

SERVER_SCHEMES = ("http", "https", "tcp", "unix")

LITE_2 = b"SQLite format 3\0"
"""The first bytes of a file of Milvus Lite 2, which is an SQLite database."""

FORMS = "write http://HOST:PORT for a server, or the path of a local .db file"


def checked_uri(uri: str | os.PathLike[str]) -> str:
    """Return a URI as pymilvus takes it: the scheme of a server in small letters.

    Raises:
        StoreError: When it is neither the address of a server nor a path, or a server's that
            pymilvus cannot reach.
    """
    given = type(uri).__name__
    uri = os.fspath(uri) if isinstance(uri, os.PathLike) else uri
    if not isinstance(uri, str):
        raise StoreError(f"cannot open a store that is given as {given}; {FORMS}")
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() not in SERVER_SCHEMES:
        return uri
    uri = f"{scheme.lower()}:{rest}"
    if scheme.lower() == "unix":
        return uri
    address = _split(uri)
    if not address.hostname:
        raise StoreError(f"cannot open {public_uri(uri)}: it names no host; {FORMS}")
    if ":" in address.hostname:
        raise StoreError(
            f"cannot open {public_uri(uri)}: pymilvus reaches no server by an IPv6 address; give "
            "the host a name, such as http://localhost:19530 for this machine"
        )
    return uri


def public_uri(uri: str) -> str:
    """Return the URI without the user and password that it may carry."""
    parts = _split(uri)
    if not parts.scheme or "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def secrets(uri: str) -> list[str]:
    """Return the password that a URI carries, if so."""
    password = _split(uri).password
    return [password] if password else []


def local_path(uri: str) -> Path | None:
    """Return the absolute path of a local Milvus file, without links; None for a server's address.

    Args:
        uri: What `checked_uri` returned.

    Raises:
        StoreError: When the URI has another scheme, or the path cannot be that of a Milvus file.
    """
    if uri.partition(":")[0] in SERVER_SCHEMES:
        return None
    if re.match(r"[a-z][a-z0-9+.-]+://", uri, re.IGNORECASE):
        raise StoreError(
            f"cannot open {public_uri(uri)}: Milvus is reached by http:// or https://, "
            "or by the path of a local .db file"
        )
    if "\0" in uri:
        raise StoreError(f"cannot open {uri!r}: a path has no NUL character; correct it")
    try:
        return _checked_path(uri)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no such user, or a loop
        reason = getattr(error, "strerror", None) or error
        raise StoreError(
            f"cannot open {uri}: {reason}; correct the path, or name another file (`store`)"
        ) from error


def _checked_path(uri: str) -> Path:
    path = Path(uri).expanduser()
    if path.suffix != ".db":
        raise StoreError(
            f"cannot open {uri}: the path of a local Milvus file ends in .db; "
            f"write {uri.rstrip('/')}.db, or http://HOST:PORT for a server"
        )
    if not path.parent.is_dir():
        raise StoreError(
            f"cannot open {uri}: the folder {path.parent} does not exist; create it, "
            "or name another file (`store`)"
        )
    if path.is_file():
        raise StoreError(f"cannot open {uri}: {_file_instead_of_folder(path)}")
    # One spelling for all paths that lead to the same file by links or `..`; but the engine takes
    # the suffix for the sign of a local file.
    resolved = path.resolve()
    return resolved if resolved.suffix == ".db" else path.absolute()


def is_same_file(path: Path, other: Path) -> bool:
    """Return whether two paths lead to one existing file, also where names ignore case."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def _file_instead_of_folder(path: Path) -> str:
    remedy = "move it away and ingest the dataset again, or name another file (`store`)"
    with path.open("rb") as file:
        if file.read(len(LITE_2)) == LITE_2:
            return (
                "it is a file of Milvus Lite 2, which Milvus Lite 3 cannot read; "
                f"{remedy}; milvus-lite<3 still reads it"
            )
    return f"it is a file, and Milvus Lite 3 keeps a folder under that name; {remedy}"


def _split(uri: str) -> SplitResult:
    """Split a URI, and check its port. Raises StoreError, without the user and password."""
    try:
        parts = urlsplit(uri)
        if parts.scheme in SERVER_SCHEMES:
            _ = parts.port
    except ValueError as error:
        public = re.sub(r"//.*@", "//", uri, flags=re.DOTALL)
        raise StoreError(f"cannot open {public}: {error}; {FORMS}") from error
    return parts
