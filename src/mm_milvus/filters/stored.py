"""Which metadata keys items have, with values of which kinds, as far as a sample of them shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from difflib import get_close_matches
from typing import Any

from mm_milvus.filters.condition import Condition, excerpt, key_paths
from mm_milvus.filters.expression import json_path
from mm_milvus.limits import family

SHOWN_KEYS = 5

_PROBES: dict[str, str] = {
    "text": '{0} >= ""',
    "number": "{0} < 0 or {0} >= 0",
    "boolean": "{0} == true or {0} == false",
}
"""What is true of every value of a kind, and of no other."""

_REMEDIES: dict[str, str] = {
    "text": "texts; compare them with a text, in quotes where it looks like a number",
    "number": "numbers; compare them with a number",
    "boolean": "true and false; compare them with one of the two",
    "other": "lists or objects; ask for an element of a list with `has`",
}


class StoredKeys:
    """The keys of some items, and the kinds of their values.

    Attributes:
        is_whole: Whether there are no other items.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], *, is_whole: bool) -> None:
        """Take the metadata of a sample of items."""
        self.is_whole = is_whole
        self._kinds: dict[tuple[str, ...], set[str]] = {}
        pending: list[tuple[tuple[str, ...], Any]] = [((), row) for row in rows]
        while pending:
            path, value = pending.pop()
            if path:
                self._kinds.setdefault(path, set()).update(_kinds(value))
            if isinstance(value, Mapping):
                pending += [((*path, key), inner) for key, inner in value.items()]

    @property
    def is_empty(self) -> bool:
        """Whether no item has metadata: then no key is known, and none is unknown."""
        return not self._kinds

    def fault(self, condition: Condition) -> str:
        """Return why no item of the sample can meet a condition; "" where one could.

        Whether a key exists can be asked of any key, and any value differs from another: these
        conditions have no fault, but `!=` with an unknown key does.
        """
        if condition.op in ("exists", "not exists"):
            return ""
        paths = [path for path in key_paths(condition.field) if path in self._kinds]
        if not paths:
            key = excerpt(condition.field)
            return f"no item has the metadata key {key}; {self._near(condition.field)}"
        stored = {kind for path in paths for kind in self._kinds[path]}
        wanted = _comparable(condition)
        if not wanted or not stored or stored & wanted:
            return ""
        kind = min(stored, key=list(_REMEDIES).index)
        return f"the stored values of {excerpt(condition.field)} are {_REMEDIES[kind]}"

    def probe(self, condition: Condition) -> str:
        """Return an expression that is true of the items that refute the fault of a condition."""
        paths = key_paths(condition.field)
        known = any(path in self._kinds for path in paths)
        templates = [_PROBES[kind] for kind in _comparable(condition)] if known else ["exists {0}"]
        tests = [
            f"({template.replace('{0}', json_path(path))})"
            for path in paths
            for template in templates
        ]
        return " or ".join(tests)

    def _near(self, key: str) -> str:
        names = sorted({".".join(path) for path in self._kinds})
        folded = {name.lower(): name for name in reversed(names)}
        near = get_close_matches(key.lower(), folded, SHOWN_KEYS, cutoff=0.6)
        if near:
            return f"similar keys: {', '.join(excerpt(folded[name]) for name in near)}"
        more = ", …" if len(names) > SHOWN_KEYS else ""
        shown = ", ".join(map(excerpt, names[:SHOWN_KEYS]))
        return f"the keys are {shown}{more}"


def _kinds(value: Any) -> set[str]:
    return set() if value is None else {family(value)}


def _comparable(condition: Condition) -> set[str]:
    """Return the kinds of which a value could meet a condition; none: any."""
    if condition.is_negative or condition.op == "has":
        return set()
    kinds: set[str] = set()
    for value in condition.values:
        if isinstance(value, date):
            kinds.add("text")
            continue
        kinds |= _kinds(value)
        if "number" in _kinds(value) and condition.op in ("=", "in"):
            kinds.add("text")
    return kinds
