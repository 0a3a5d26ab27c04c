"""Stages that rerank hits after the fusion: callables from hits to hits, run in the order given."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors
from mm_milvus.errors import MmMilvusError, OptionError, QueryError
from mm_milvus.filters.condition import Filter
from mm_milvus.filters.match import holds
from mm_milvus.filters.parse import parse_condition
from mm_milvus.search.hits import Hit
from mm_milvus.search.query import Query

if TYPE_CHECKING:
    from mm_milvus.rerankers import Reranker

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True)
class RerankContext:
    """What a stage can use in addition to the hits.

    Attributes:
        query: The query of the search.
        vectors: From hits to their stored image vectors: float32 (n, dim), unit rows; zeros where
            no image is stored.
        rescored: From hits to the same items, scored by their stored vectors and fused again, best
            first.
    """

    query: Query
    vectors: Callable[[Sequence[Hit]], Vectors]
    rescored: Callable[[Sequence[Hit]], list[Hit]]


class Rerank(Protocol):
    """A rerank stage: any callable from hits to hits.

    Its name in timings is its attribute `name`, else its function's name.
    """

    def __call__(self, hits: Sequence[Hit], context: RerankContext, /) -> list[Hit]:
        """Rank hits again.

        Args:
            hits: Best first.
            context: The query, and access to stored vectors.

        Returns:
            The hits, best first, with their new scores.
        """


@dataclass(frozen=True, slots=True)
class Exact:
    """Score by the stored vectors, for an index that only approximates them (IVF_SQ8)."""

    name: str = "exact"

    def __call__(self, hits: Sequence[Hit], context: RerankContext) -> list[Hit]:
        """Rank hits by their exact scores."""
        return context.rescored(hits)


@dataclass(frozen=True, slots=True)
class Diversity:
    """Maximal marginal relevance (Carbonell and Goldstein 1998).

    Greedily select the hit that maximises lambda * score - (1 - lambda) * max cosine to the
    selected hits, with scores scaled to 0 to 1. That value is the hit's new score.

    Attributes:
        relevance: lambda, 0 to 1: 1 keeps the order, 0 ranks by diversity alone.
        name: Name of the stage in timings.

    Raises:
        OptionError: When lambda is out of range.
    """

    relevance: float = 0.7
    name: str = "mmr"

    def __post_init__(self) -> None:
        """Check the values; raise OptionError."""
        if not 0 <= self.relevance <= 1:
            raise OptionError(f"the lambda of mmr is {self.relevance}, and must be 0 to 1")

    def __call__(self, hits: Sequence[Hit], context: RerankContext) -> list[Hit]:
        """Rank hits by marginal relevance."""
        if not hits:
            return []
        vectors = context.vectors(hits)
        relevance = self.relevance * _scaled(np.array([hit.score for hit in hits]))
        max_cosine = np.zeros(len(hits))
        remaining = np.ones(len(hits), dtype=bool)
        selected = []
        while remaining.any():
            marginal = np.where(remaining, relevance - (1 - self.relevance) * max_cosine, -np.inf)
            best = int(marginal.argmax())
            selected.append(replace(hits[best], score=float(marginal[best])))
            remaining[best] = False
            max_cosine = np.maximum(max_cosine, vectors @ vectors[best])
        return selected


@dataclass(frozen=True, slots=True)
class Boost:
    """Raise hits whose metadata meet a condition: score + (factor - 1) * |score|.

    Attributes:
        condition: Condition on the metadata.
        factor: Above 0; below 1 it lowers the hits.
        name: Name of the stage in timings.

    Raises:
        OptionError: When the factor is out of range.
    """

    condition: Filter
    factor: float
    name: str = "boost"

    def __post_init__(self) -> None:
        """Check the values; raise OptionError."""
        if not (math.isfinite(self.factor) and self.factor > 0):
            raise OptionError(f"the factor of a boost is {self.factor}, and must be above 0")

    def __call__(self, hits: Sequence[Hit], context: RerankContext) -> list[Hit]:
        """Rank hits by the raised scores."""
        del context
        gain = self.factor - 1
        return _ranked(
            hits,
            [
                hit.score + gain * abs(hit.score) * holds(self.condition, hit.metadata)
                for hit in hits
            ],
        )


@dataclass(frozen=True, slots=True)
class Recency:
    """Raise recent hits: score + |score| * 2 ** (-age / half-life); undated hits keep their score.

    Attributes:
        key: Metadata key of a date or time in ISO 8601, or of seconds since 1970.
        half_life_days: Days after which the gain, initially the score itself, is halved.
        now: Seconds since 1970; None: the time of the call.
        name: Name of the stage in timings.

    Raises:
        OptionError: When the half-life is out of range.
    """

    key: str
    half_life_days: float
    now: float | None = None
    name: str = "recency"

    def __post_init__(self) -> None:
        """Check the values; raise OptionError."""
        if not (math.isfinite(self.half_life_days) and self.half_life_days > 0):
            raise OptionError(f"a half-life is {self.half_life_days} days, and must be above 0")

    def __call__(self, hits: Sequence[Hit], context: RerankContext) -> list[Hit]:
        """Rank hits by the raised scores."""
        del context
        now = time.time() if self.now is None else self.now
        scores = []
        for hit in hits:
            seconds = _seconds(hit.metadata.get(self.key))
            days = math.inf if seconds is None else max(0.0, now - seconds) / SECONDS_PER_DAY
            scores.append(hit.score + abs(hit.score) * 2 ** (-days / self.half_life_days))
        return _ranked(hits, scores)


@dataclass(frozen=True)
class Model:
    """Score by a model that reads the query's text together with each hit's caption or picture.

    The new score is the model's, 0 to 1. A hit without a caption, or whose picture cannot be
    read, comes last with the score 0.

    Attributes:
        model: A cross-encoder or an image-text matching model, as `load_reranker` takes it. It is
            loaded at the first call, and kept.
        name: Name of the stage in timings.
    """

    model: str
    name: str = "model"

    @cached_property
    def _reranker(self) -> Reranker:
        from mm_milvus.rerankers import load_reranker

        return load_reranker(self.model)

    def __call__(self, hits: Sequence[Hit], context: RerankContext) -> list[Hit]:
        """Rank hits by the model's scores; raise QueryError for a query without a text."""
        if not context.query.texts:
            raise QueryError(f"{self.model} ranks by a text; give one, or leave it out of `rerank`")
        reranker = self._reranker
        read = _caption if reranker.needs == "captions" else _picture
        documents: dict[int, Any] = {
            n: document for n, hit in enumerate(hits) if (document := read(hit)) is not None
        }
        scores = np.zeros(len(hits))
        if documents:
            text = ", ".join(context.query.texts)
            scores[list(documents)] = reranker.scores(text, list(documents.values()))
        return _ranked(hits, scores.tolist())


def parse_rerank(text: str) -> Rerank:
    """Return the rerank stage that a text names.

    - `exact`: score by the stored vectors, for an index that only approximates them
    - `mmr`, `mmr:LAMBDA`: maximal marginal relevance; LAMBDA 0 to 1 (default: 0.7), 1 keeps the
      order and 0 ranks by diversity alone
    - `boost:CONDITION:FACTOR`: raise hits that meet a condition, such as `boost:color=red:1.5`
    - `recency:KEY:DAYS`: raise recent hits, such as `recency:added:30`; the gain is halved every
      DAYS days
    - `model:ID`: score by a cross-encoder or an image-text matching model

    Args:
        text: The text form of a stage.

    Raises:
        OptionError: For any other text.
        QueryError: When the condition of a boost cannot be parsed.
    """
    kind, _, rest = text.partition(":")
    try:
        if kind == "exact" and not rest:
            return Exact()
        if kind == "mmr":
            return Diversity(float(rest)) if rest else Diversity()
        if kind == "boost":
            condition, _, factor = rest.rpartition(":")
            return Boost(parse_condition(condition), float(factor))
        if kind == "recency":
            key, _, days = rest.rpartition(":")
            return Recency(key, float(days))
        if kind == "model" and rest:
            return Model(rest)
    except ValueError:
        pass
    raise OptionError(
        f"unknown rerank stage {text!r}: write exact, mmr:LAMBDA, boost:CONDITION:FACTOR, "
        "recency:KEY:DAYS or model:ID"
    )


def stage_name(stage: Rerank) -> str:
    """Return the name of a stage in timings."""
    return str(getattr(stage, "name", None) or getattr(stage, "__name__", type(stage).__name__))


def _ranked(hits: Sequence[Hit], scores: Sequence[float]) -> list[Hit]:
    """Sort by new scores, best first; equal ones keep their order."""
    pairs = zip(hits, scores, strict=True)
    return sorted((replace(hit, score=score) for hit, score in pairs), key=lambda hit: -hit.score)


def _scaled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.ones_like(scores)


def _seconds(value: Any) -> float | None:
    """Return a date, time or number as seconds since 1970; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _caption(hit: Hit) -> str | None:
    return hit.caption


def _picture(hit: Hit) -> Any:
    from mm_milvus.images.load import load_image

    try:
        return load_image(hit.uri)
    except MmMilvusError:
        return None
