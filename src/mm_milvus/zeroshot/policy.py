"""A moderation policy: prompts for what is unsafe and for what is not, in a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from mm_milvus.errors import QueryError

THRESHOLD = 0.5
KEYS = frozenset(("unsafe", "safe", "threshold"))


@dataclass(frozen=True, slots=True)
class Category:
    """One kind of picture that is to be found.

    unsafe     prompts that describe it, each a whole text
    safe       prompts that describe what may look like it, and is harmless
    threshold  an image of this probability, 0 to 1, or of a greater one is flagged
    """

    name: str
    unsafe: tuple[str, ...]
    safe: tuple[str, ...]
    threshold: float = THRESHOLD


@dataclass(frozen=True, slots=True)
class Policy:
    """The categories, in the order of the file."""

    name: str
    categories: tuple[Category, ...]

    def with_threshold(self, threshold: float) -> Self:
        """The same policy with one threshold, 0 to 1, for all of its categories."""
        check_threshold("the policy", threshold)
        categories = (replace(category, threshold=threshold) for category in self.categories)
        return replace(self, categories=tuple(categories))


def load_policy(path: Path | str | None = None) -> Policy:
    """The policy in a TOML file; None: the one that comes with the package.

    `threshold` and `safe` at the top hold for all categories; a table `[categories.NAME]` has
    `unsafe`, and may have a `threshold` of its own and more `safe` prompts. Raises QueryError.
    """
    if path is None:
        text = (files("mm_milvus.zeroshot") / "policy.toml").read_text(encoding="utf-8")
        return parse_policy("default", text)
    try:
        return parse_policy(str(path), Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise QueryError(f"the policy {path} cannot be read: {reason}") from error


def parse_policy(name: str, text: str) -> Policy:
    """The policy in the text of a TOML file; the name is for people. Raises QueryError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise QueryError(f"the policy {name} is no TOML: {error}") from error
    if unknown := set(table) - {"safe", "threshold", "categories"}:
        raise QueryError(
            f"the policy {name} has an unknown key {min(unknown)}: there are threshold, safe and "
            "[categories.NAME]"
        )
    categories = table.get("categories")
    if not isinstance(categories, dict) or not categories:
        raise QueryError(f"the policy {name} has no category: add [categories.NAME] with unsafe")
    return Policy(name, tuple(_category(name, key, categories[key], table) for key in categories))


def _category(policy: str, name: str, table: Any, common: Mapping[str, Any]) -> Category:
    where = f"the policy {policy}, category {name}"
    if not isinstance(table, dict) or set(table) - KEYS:
        raise QueryError(f"{where}: it takes {', '.join(sorted(KEYS))} and nothing else")
    threshold = table.get("threshold", common.get("threshold", THRESHOLD))
    unsafe = _prompts(where, "unsafe", table.get("unsafe", []))
    safe = _prompts(where, "safe", common.get("safe", []))
    safe += _prompts(where, "safe", table.get("safe", []))
    if not unsafe or not safe:
        raise QueryError(f"{where}: it needs unsafe prompts, and safe ones to compare with")
    check_threshold(where, threshold)
    return Category(name, unsafe, safe, float(threshold))


def _prompts(where: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise QueryError(f"{where}: {key} is not a list of texts")
    return tuple(value)


def check_threshold(where: str, value: Any) -> None:
    """Raise QueryError for a threshold that is no number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise QueryError(f"{where}: the threshold is {value}, and must be from 0 to 1")
