"""Stages after the fusion, each a callable from hits to hits; they run in the order given."""

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

from mm_milvus.errors import MmMilvusError, QueryError
from mm_milvus.filters.condition import Condition, parse_condition
from mm_milvus.filters.match import holds
from mm_milvus.search.hits import Hit
from mm_milvus.search.query import Query

if TYPE_CHECKING:
    from mm_milvus.rerankers import Reranker

SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class RerankContext:
    """What a stage may ask, beside the hits.

    query     what was searched for
    vectors   hits to their stored image vectors, unit rows, float32 (n, dim)
    rescored  hits to the same with scores from their stored vectors, fused anew, best first
    """

    query: Query
    vectors: Callable[[Sequence[Hit]], NDArray[np.float32]]
    rescored: Callable[[Sequence[Hit]], list[Hit]]


class Rerank(Protocol):
    """A stage: from hits, best first, to hits, best first, with the scores that they have now."""

    def __call__(self, hits: Sequence[Hit], question: RerankContext, /) -> list[Hit]:
        """Rank anew."""


@dataclass(frozen=True, slots=True)
class Exact:
    """Score by the stored vectors, where the index has only approximations of them (IVF_SQ8)."""

    name: str = "exact"

    def __call__(self, hits: Sequence[Hit], question: RerankContext) -> list[Hit]:
        """Rank anew."""
        return question.rescored(hits)


@dataclass(frozen=True, slots=True)
class Diversity:
    """Maximal marginal relevance (Carbonell and Goldstein 1998).

    relevance  lambda, 0 to 1: 1 keeps the order, 0 looks at diversity alone

    Takes again and again the hit with the largest lambda * score - (1 - lambda) * the largest
    cosine to a hit taken before; scores are scaled to 0 to 1 first. That value is the new score.
    """

    relevance: float = 0.7
    name: str = "mmr"

    def __post_init__(self) -> None:
        """Raise `QueryError` for a lambda out of range."""
        if not 0 <= self.relevance <= 1:
            raise QueryError(f"the lambda of mmr is {self.relevance}, and must be 0 to 1")

    def __call__(self, hits: Sequence[Hit], question: RerankContext) -> list[Hit]:
        """Rank anew."""
        if not hits:
            return []
        vectors = question.vectors(hits)
        worth = self.relevance * _scaled(np.array([hit.score for hit in hits]))
        nearest = np.zeros(len(hits))
        left = np.ones(len(hits), dtype=bool)
        taken = []
        while left.any():
            marginal = np.where(left, worth - (1 - self.relevance) * nearest, -np.inf)
            best = int(marginal.argmax())
            taken.append(replace(hits[best], score=float(marginal[best])))
            left[best] = False
            nearest = np.maximum(nearest, vectors @ vectors[best])
        return taken


@dataclass(frozen=True, slots=True)
class Boost:
    """Raise what meets a condition on its metadata: score + (factor - 1) * |score|."""

    condition: Condition
    factor: float
    name: str = "boost"

    def __post_init__(self) -> None:
        """Raise `QueryError` for a factor that is none."""
        if not (math.isfinite(self.factor) and self.factor > 0):
            raise QueryError(f"the factor of a boost is {self.factor}, and must be above 0")

    def __call__(self, hits: Sequence[Hit], question: RerankContext) -> list[Hit]:
        """Rank anew."""
        del question
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
    """Raise what is new: score + |score| * 2 ** (-age / half-life); what has no date stays.

    key             of the metadata: a date or time in ISO 8601, or seconds since 1970
    half_life_days  after which the gain, at first the score itself, has fallen to half
    now             seconds since 1970; None: when it is called
    """

    key: str
    half_life_days: float
    now: float | None = None
    name: str = "recency"

    def __post_init__(self) -> None:
        """Raise `QueryError` for a half-life that is none."""
        if not (math.isfinite(self.half_life_days) and self.half_life_days > 0):
            raise QueryError(f"a half-life is {self.half_life_days} days, and must be above 0")

    def __call__(self, hits: Sequence[Hit], question: RerankContext) -> list[Hit]:
        """Rank anew."""
        del question
        now = time.time() if self.now is None else self.now
        scores = []
        for hit in hits:
            seconds = _seconds(hit.metadata.get(self.key))
            days = math.inf if seconds is None else max(0.0, now - seconds) / SECONDS_A_DAY
            scores.append(hit.score + abs(hit.score) * 2 ** (-days / self.half_life_days))
        return _ranked(hits, scores)


@dataclass(frozen=True)
class Model:
    """Score by a model that reads the query's text with each hit's caption or picture.

    model  a cross-encoder or an image-text matching model, as `load_reranker` takes it; it is
           loaded at the first call, and kept

    The new score is the model's, 0 to 1. A hit without a caption, or whose picture cannot be
    read, comes last with the score 0.
    """

    model: str
    name: str = "model"

    @cached_property
    def _reranker(self) -> Reranker:
        from mm_milvus.rerankers import load_reranker

        return load_reranker(self.model)

    def __call__(self, hits: Sequence[Hit], question: RerankContext) -> list[Hit]:
        """Rank anew."""
        if not question.query.texts:
            raise QueryError(f"{self.model} ranks by a text; give one, or leave it out of --rerank")
        reranker = self._reranker
        read = _caption if reranker.needs == "captions" else _picture
        documents: dict[int, Any] = {
            n: found for n, hit in enumerate(hits) if (found := read(hit)) is not None
        }
        scores = np.zeros(len(hits))
        if documents:
            text = ", ".join(question.query.texts)
            scores[list(documents)] = reranker.scores(text, list(documents.values()))
        return _ranked(hits, scores.tolist())


def parse_rerank(text: str) -> Rerank:
    """A stage as the command line names it.

    exact                   scores from the stored vectors
    mmr, mmr:LAMBDA         diversity
    boost:CONDITION:FACTOR  boost:color=red:1.5
    recency:KEY:DAYS        recency:added:30
    model:ID                a cross-encoder or an image-text matching model

    Raises `QueryError` for anything else.
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
    raise QueryError(
        f"--rerank {text!r} is no stage: write exact, mmr:LAMBDA, boost:CONDITION:FACTOR, "
        "recency:KEY:DAYS or model:ID"
    )


def stage_name(stage: Rerank) -> str:
    """What a stage is called where its time is told."""
    return str(getattr(stage, "name", None) or getattr(stage, "__name__", type(stage).__name__))


def _ranked(hits: Sequence[Hit], scores: Sequence[float]) -> list[Hit]:
    """Best first by the new scores; equal ones in the order that they came in."""
    pairs = zip(hits, scores, strict=True)
    return sorted((replace(hit, score=score) for hit, score in pairs), key=lambda hit: -hit.score)


def _scaled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.ones_like(scores)


def _seconds(value: Any) -> float | None:
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
