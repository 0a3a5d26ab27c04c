"""Keywords of version 0.1 that verbs still accept, with a DeprecationWarning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.store.connection import Store, StoreLike, require_file

P = ParamSpec("P")
R = TypeVar("R")

OLD_KEYWORDS = ("uri", "token", "db_name")


def accepts_old_keywords(verb: Callable[P, R]) -> Callable[P, R]:
    """Let a verb that takes `store` be called with `uri`, `token` and `db_name` as well."""

    @wraps(verb)
    def call(*args: Any, **keywords: Any) -> R:
        old = {name: keywords.pop(name) for name in OLD_KEYWORDS if name in keywords}
        if not old:
            return verb(*args, **keywords)
        if "store" in keywords:
            raise TypeError(f"{verb.__name__}() takes `store` or {', '.join(old)}, not both")
        warn_of_old_keywords(verb.__name__, stacklevel=3)
        uri = old.pop("uri", None) or DEFAULT_STORE
        if not any(old.values()):
            return verb(*args, store=uri, **keywords)  # type: ignore[arg-type]
        with Store(uri, **old) as store:
            return verb(*args, store=store, **keywords)  # type: ignore[arg-type]

    return call


def open_by_old_keywords(
    store: StoreLike,
    *,
    uri: str | None = None,
    token: str | None = None,
    db_name: str | None = None,
) -> Store:
    """Open the store of a client that was made with `uri`, `token` or `db_name`, and warn."""
    if isinstance(store, Store):
        raise TypeError("an open store has its own uri, token and db_name: leave them out")
    warn_of_old_keywords("SearchClient", stacklevel=3)
    require_file(uri or store)
    return Store(uri or store, token=token, db_name=db_name)


def warn_of_old_keywords(name: str, *, stacklevel: int) -> None:
    """Warn that the keywords will be removed; `stacklevel` as `warnings.warn` takes it."""
    warnings.warn(
        f"{name}(uri=..., token=..., db_name=...) is deprecated and will be removed in 0.3: give "
        "store=URI, or store=Store(URI, token=..., db_name=...)",
        DeprecationWarning,
        stacklevel=stacklevel + 1,
    )
