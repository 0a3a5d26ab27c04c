"""Keywords of version 0.1 that verbs and clients still accept, with a DeprecationWarning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypedDict, TypeVar

from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.store.connection import Store, StoreLike, is_missing_file, require_file

P = ParamSpec("P")
R = TypeVar("R")


class OldKeywords(TypedDict, total=False):
    """Keywords of version 0.1 that `store` replaces.

    Attributes:
        uri: URI of the store.
        token: `user:password` or an API key of a server.
        db_name: Database inside a server.
    """

    uri: str | None
    token: str | None
    db_name: str | None


def accepts_old_keywords(verb: Callable[P, R]) -> Callable[P, R]:
    """Let a verb that takes `store` be called with `uri`, `token` and `db_name` as well.

    Args:
        verb: A function with the keyword-only parameter `store`.
    """

    @wraps(verb)
    def call(*args: Any, **keywords: Any) -> R:
        names = OldKeywords.__annotations__
        old = {name: keywords.pop(name) for name in names if name in keywords}
        if not old:
            return verb(*args, **keywords)
        if "store" in keywords:
            raise TypeError(f"{verb.__name__}() takes `store` or {', '.join(old)}, not both")
        warn_of_old_keywords(verb.__name__, old, stacklevel=2)
        uri = old.pop("uri", None) or DEFAULT_STORE
        # Opening a local file creates it, and only the verb knows whether it may be missing.
        if not any(old.values()) or is_missing_file(uri):
            return verb(*args, store=uri, **keywords)  # type: ignore[arg-type]
        with Store(uri, **old) as store:
            return verb(*args, store=store, **keywords)  # type: ignore[arg-type]

    return call


def open_by_old_keywords(store: StoreLike, keywords: OldKeywords) -> Store:
    """Open the store of a client that was made with `uri`, `token` or `db_name`.

    Args:
        store: What the client was given as its store, used where there is no `uri`.
        keywords: The old keywords.

    Raises:
        TypeError: When `store` is open already, as it has its own URI, token and database; or
            when a `uri` is given in addition to it.
        StoreError: When the store cannot be reached, or the file does not exist.
    """
    if isinstance(store, Store):
        raise TypeError("an open store has its own uri, token and db_name: leave them out")
    if keywords.get("uri") and store != DEFAULT_STORE:
        raise TypeError("the client takes `store` or uri, not both")
    uri = keywords.get("uri") or store
    require_file(uri)
    return Store(uri, token=keywords.get("token"), db_name=keywords.get("db_name"))


def warn_of_old_keywords(name: str, keywords: Mapping[str, object], *, stacklevel: int) -> None:
    """Warn that the old keywords of a verb or client will be removed.

    Args:
        name: Name of the verb or client.
        keywords: The keywords that it was called with.
        stacklevel: As `warnings.warn` takes it, in the function that calls this one.

    Raises:
        TypeError: For a keyword that version 0.1 did not have either.
    """
    if unknown := keywords.keys() - OldKeywords.__annotations__:
        raise TypeError(f"{name}() got an unexpected keyword argument {min(unknown)!r}")
    warnings.warn(
        f"{name}(uri=..., token=..., db_name=...) is deprecated and will be removed in 0.3: give "
        "store=URI, or store=Store(URI, token=..., db_name=...)",
        DeprecationWarning,
        stacklevel=stacklevel + 1,
    )
