"""Moderation policies: prompts for what is unsafe and for what is not, and their probabilities."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors
from mm_milvus.encoders.base import Encoder
from mm_milvus.errors import OptionError
from mm_milvus.zeroshot.labels import sigmoid

DEFAULT_THRESHOLD = 0.5
CATEGORY_KEYS = frozenset(("unsafe", "safe", "threshold"))

FINDINGS = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("probability", pa.float32(), nullable=False),
        pa.field("flagged", pa.bool_(), nullable=False),
    ]
)
"""One row per image and category, the most probable category of an image first."""


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of unsafe image.

    Attributes:
        name: The name in findings and reports.
        unsafe: Prompts that describe it, each a whole text; at least one.
        safe: Prompts for images that look similar and are harmless; at least one.
        threshold: Images with at least this probability, 0 to 1, are flagged.
    """

    name: str
    unsafe: tuple[str, ...]
    safe: tuple[str, ...]
    threshold: float = DEFAULT_THRESHOLD


@dataclass(frozen=True, slots=True)
class Policy:
    """Categories of unsafe images.

    Attributes:
        name: The file, or `default`.
        categories: The categories, in the order of the file.
    """

    name: str
    categories: tuple[Category, ...]

    def with_threshold(self, threshold: float) -> Self:
        """Return the policy with one threshold, 0 to 1, for all of its categories.

        Raises:
            OptionError: When the threshold is not from 0 to 1.
        """
        check_threshold("the policy", threshold)
        categories = (replace(category, threshold=threshold) for category in self.categories)
        return replace(self, categories=tuple(categories))


def load_policy(path: Path | str | None = None) -> Policy:
    """Load a policy from a TOML file.

    `threshold` and `safe` at the top of the file are for all categories. A table
    `[categories.NAME]` has `unsafe`, and may have its own `threshold` and further `safe` prompts.

    Args:
        path: The file (default: the policy that comes with the package).

    Raises:
        OptionError: When the file cannot be read, or is no policy.
    """
    if path is None:
        text = (files("mm_milvus.zeroshot") / "policy.toml").read_text(encoding="utf-8")
        return parse_policy("default", text)
    try:
        return parse_policy(str(path), Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"the policy {path} cannot be read: {reason}") from error


def parse_policy(name: str, text: str) -> Policy:
    """Parse the text of a TOML file; `name` is the policy's name in messages and reports.

    Raises:
        OptionError: When the text is no policy.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"the policy {name} is no TOML: {error}") from error
    if unknown := set(table) - {"safe", "threshold", "categories"}:
        raise OptionError(
            f"the policy {name} has an unknown key {min(unknown)}: there are threshold, safe and "
            "[categories.NAME]"
        )
    categories = table.get("categories")
    if not isinstance(categories, dict) or not categories:
        raise OptionError(f"the policy {name} has no category: add [categories.NAME] with unsafe")
    return Policy(name, tuple(_category(name, key, categories[key], table) for key in categories))


def _category(policy: str, name: str, table: Any, common: Mapping[str, Any]) -> Category:
    where = f"the policy {policy}, category {name}"
    if not isinstance(table, dict) or set(table) - CATEGORY_KEYS:
        raise OptionError(f"{where}: it takes {', '.join(sorted(CATEGORY_KEYS))} and nothing else")
    threshold = table.get("threshold", common.get("threshold", DEFAULT_THRESHOLD))
    unsafe = _prompts(where, "unsafe", table.get("unsafe", []))
    safe = _prompts(where, "safe", common.get("safe", []))
    safe += _prompts(where, "safe", table.get("safe", []))
    if not unsafe or not safe:
        raise OptionError(f"{where}: it needs unsafe prompts, and safe ones to compare with")
    check_threshold(where, threshold)
    return Category(name, unsafe, safe, float(threshold))


def _prompts(where: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise OptionError(f"{where}: {key} is not a list of texts")
    return tuple(value)


def check_threshold(where: str, value: Any) -> None:
    """Raise OptionError for a threshold that is no number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise OptionError(f"{where}: the threshold is {value}, and must be from 0 to 1")


class PolicyJudge:
    """Judges images by a policy in the vector space of an encoder.

    Attributes:
        schema: `FINDINGS`.
        policy: The policy.
    """

    schema = FINDINGS

    def __init__(self, encoder: Encoder, policy: Policy) -> None:
        """Encode the prompts of a policy."""
        self.policy = policy
        categories = policy.categories
        self._scale = encoder.spec.logit_scale
        self._unsafe = [encoder.encode_texts(category.unsafe) for category in categories]
        self._safe = [encoder.encode_texts(category.safe) for category in categories]
        self._names = pa.array([category.name for category in categories], pa.string())
        self._thresholds = np.array([category.threshold for category in categories], np.float32)

    def probabilities(self, images: Vectors) -> NDArray[np.float32]:
        """Return the probability of each category, float32 (n, categories), 0 to 1.

        This is the softmax of two logits: that of the nearest unsafe prompt, and that of the
        nearest safe one. So the number of prompts on a side does not matter, and the model's logit
        bias cancels out.

        Args:
            images: Unit rows (n, dim).
        """
        margins = [
            (images @ unsafe.T).max(axis=1) - (images @ safe.T).max(axis=1)
            for unsafe, safe in zip(self._unsafe, self._safe, strict=True)
        ]
        return sigmoid(self._scale * np.stack(margins, axis=1))

    def rows(self, item_ids: Sequence[str], images: Vectors) -> pa.RecordBatch:
        """Return rows of `FINDINGS`: all categories of each image.

        Args:
            item_ids: The n items.
            images: Their unit rows, (n, dim).
        """
        probabilities = self.probabilities(images)
        order = np.argsort(-probabilities, axis=1, kind="stable")
        ranked = np.take_along_axis(probabilities, order, axis=1)
        return pa.RecordBatch.from_arrays(
            [
                pa.array(np.repeat(np.array(item_ids, object), order.shape[1]), pa.string()),
                self._names.take(pa.array(order.ravel())),
                pa.array(ranked.ravel(), pa.float32()),
                pa.array((ranked >= self._thresholds[order]).ravel(), pa.bool_()),
            ],
            schema=self.schema,
        )
