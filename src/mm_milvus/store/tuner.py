"""The measured choice of nprobe or ef: recall compared with exact search, by realistic queries.

Queries. A collection is searched by vectors of both modalities: a user's text finds images and
captions, and so does a user's image. Rows of the other collection lie far from those of this one
(the modality gap), and finding their neighbours takes more cells: recall is measured separately
for rows of both, and both must reach the target.

Relevance. A stored row finds itself immediately, which says nothing: it is removed from its own
answer. Equal vectors are one query. A found row is correct when its true score is that of the
tenth exact neighbour or better, so that equal neighbours, such as one caption of many images, may
stand in for each other (Aumueller et al., ANN-Benchmarks, 2017).

Confidence. The queries are a random sample of `QUERIES` rows per modality. The recall that is
compared with the target is not their mean but its lower 95 % confidence bound.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Vector, Vectors
from mm_milvus.schema import Field
from mm_milvus.store.collection import Collection
from mm_milvus.store.index import EXACT_ROWS, INDEX_TYPES
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.read import sample, scan_embeddings
from mm_milvus.store.reindex import wait_until_served

NEIGHBOURS = 10
"""Recall is measured at this depth."""

QUERIES = 256
"""Number of queries per modality. The recall of a single query deviates by about 0.06 where the
mean is 0.98, so the mean of this many deviates by 0.004."""

BATCH_QUERIES = 64
TIMED_QUERIES = 30

ONE_SIDED_95 = 1.645
"""5 % of a normal distribution lie more than this many standard deviations below its mean."""

TIE = 1e-5
"""Scores this close are equal: sums of float32 products differ by their order."""

ScoredIds = list[tuple[str, float]]
"""Primary keys and scores of found rows, best first."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall at 10 of a sample of queries.

    Attributes:
        mean: The mean of the sample, 0 to 1.
        lower_bound: What the true mean exceeds with 95 % confidence.
    """

    mean: float
    lower_bound: float


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve: a value of the search parameter and what was measured with it.

    Attributes:
        setting: The value of nprobe or ef.
        recall: Recall by modality of the queries.
        latency_ms: Median time of one search for ten neighbours, in milliseconds.
    """

    setting: int
    recall: dict[str, Recall]
    latency_ms: float

    def reaches(self, target: float) -> bool:
        """Return whether the recall of every modality reaches the target with confidence."""
        return _reaches(self.recall, target)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was measured of one collection, and the choice that follows from it.

    Attributes:
        rows: The row count.
        parameter: The search parameter that was varied: nprobe or ef; None if the index has none.
        curve: Points with rising settings, until no neighbour is missed; empty without a parameter
            or without rows.
        params: The chosen search parameters, such as `{"nprobe": 8}`.
        exact: Whether they were chosen without the curve, because the collection is so small that
            it is scanned completely.
    """

    rows: int
    parameter: str | None
    curve: list[Point]
    params: dict[str, int]
    exact: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the tuning as JSON-compatible values."""
        return {
            "rows": self.rows,
            "knob": self.parameter,
            "curve": [
                {
                    "setting": point.setting,
                    "recall": {
                        modality: {"mean": recall.mean, "surely": recall.lower_bound}
                        for modality, recall in point.recall.items()
                    },
                    "latency_ms": point.latency_ms,
                }
                for point in self.curve
            ],
            "params": self.params,
            "exact": self.exact,
        }


@dataclass(frozen=True, slots=True)
class Queries:
    """Stored rows that are used as queries.

    Attributes:
        ids: Their primary keys.
        embeddings: Their vectors, float32 (n, dim).
    """

    ids: list[str]
    embeddings: Vectors


class Tuner:
    """Measures the search of one collection at the settings of its index.

    Attributes:
        index: The type of the index.
        rows: The row count.
        settings: Values of the search parameter worth a trial, rising.
    """

    def __init__(
        self, collection: Collection, query_collections: Sequence[Collection], manifest: Manifest
    ) -> None:
        """Read what the index was built with; nothing is measured yet.

        Args:
            collection: The one that is searched.
            query_collections: Those whose rows are the queries, `collection` among them.
            manifest: The dataset's manifest, with the target recall.
        """
        self.index = INDEX_TYPES[manifest.index_type]
        self.rows = collection.count()
        self.settings = self.index.settings(collection.built_with())
        self._collection = collection
        self._query_collections = query_collections
        self._target = manifest.target_recall
        self._measured: dict[int, dict[str, Recall]] = {}
        self._embeddings: dict[str, Vector] = {}

    @property
    def scans_all(self) -> bool:
        """Whether the collection is so small that an exact search costs next to nothing."""
        return self.index.exhaustive and self.rows <= EXACT_ROWS

    def tune(self) -> Tuning:
        """Measure the curve, and choose."""
        return Tuning(
            self.rows, self.index.parameter, list(self.curve()), self.choose(), self.scans_all
        )

    def choose(self) -> dict[str, int]:
        """Return the search parameters: the smallest setting that reaches the target.

        The largest where none does, and, unmeasured, where an exact search costs next to nothing.
        """
        if self.index.parameter is None:
            return {}
        *cheaper, largest = self.settings
        if self.scans_all:
            cheaper = []
        reaching = (setting for setting in cheaper if _reaches(self.recall(setting), self._target))
        return {self.index.parameter: next(reaching, largest)}

    def curve(self) -> Iterator[Point]:
        """Yield recall and latency at rising settings, until no neighbour is missed."""
        for setting in self.settings if self.rows else ():
            yield (point := Point(setting, self.recall(setting), self.latency_ms(setting)))
            if point.reaches(1):
                return

    def recall(self, setting: int) -> dict[str, Recall]:
        """Return the recall by modality of the queries, without those that have no neighbours."""
        if setting not in self._measured:
            by_modality = {name: self._recalls(name, setting) for name in self._queries}
            self._measured[setting] = {
                name: _summary(recalls) for name, recalls in by_modality.items() if recalls.size
            }
        return self._measured[setting]

    def latency_ms(self, setting: int) -> float:
        """Return the median time of a search for ten neighbours, one query per call."""
        embeddings = [row for queries in self._queries.values() for row in queries.embeddings]
        times = []
        for embedding in embeddings[:: max(1, len(embeddings) // TIMED_QUERIES)]:
            start = time.perf_counter()
            self._search(embedding[None], NEIGHBOURS, setting)
            times.append(time.perf_counter() - start)
        return 1000 * statistics.median(times)

    @cached_property
    def _queries(self) -> dict[str, Queries]:
        """Distinct queries by modality."""
        wait_until_served(self._collection, self.rows)
        queries = {}
        for collection in self._query_collections:
            distinct = {row.embedding.tobytes(): row for row in sample(collection, QUERIES)}
            if rows := distinct.values():
                embeddings = np.stack([row.embedding for row in rows])
                queries[collection.modality.value] = Queries([row.id for row in rows], embeddings)
        return queries

    @cached_property
    def _exact(self) -> dict[str, list[NDArray[np.float32]]]:
        """By modality, for each query the scores of its exact neighbours, at most ten, falling."""
        if not self.index.exhaustive:
            return self._scan_all()
        largest = self.settings[-1]
        return {
            name: [_scores(answer) for answer in self._answers(name, largest)]
            for name in self._queries
        }

    def _scan_all(self) -> dict[str, list[NDArray[np.float32]]]:
        best = {
            name: np.full((len(queries.ids), NEIGHBOURS), -np.inf, dtype=np.float32)
            for name, queries in self._queries.items()
        }
        for keys, embeddings in scan_embeddings(self._collection):
            row_of = {id_: row for row, (id_, _) in enumerate(keys)}
            for name, queries in self._queries.items():
                scores = queries.embeddings @ embeddings.T
                for query, id_ in enumerate(queries.ids):
                    if (row := row_of.get(id_)) is not None:
                        scores[query, row] = -np.inf
                best[name] = _largest(np.hstack([best[name], scores]))
        return {name: [row[np.isfinite(row)] for row in rows] for name, rows in best.items()}

    def _recalls(self, name: str, setting: int) -> NDArray[np.float64]:
        """Return the recall of each query that has a neighbour to find."""
        answers = self._answers(name, setting)
        if not self.index.exhaustive:
            answers = self._with_true_scores(name, answers)
        pairs = zip(answers, self._exact[name], strict=True)
        return np.asarray(
            [
                min(1.0, float(np.mean(_padded(_scores(answer), exact.size) >= exact[-1] - TIE)))
                for answer, exact in pairs
                if exact.size
            ]
        )

    def _answers(self, name: str, setting: int) -> list[ScoredIds]:
        """Return for each query at most ten rows, without the query's own."""
        queries = self._queries[name]
        answers = []
        for start in range(0, len(queries.ids), BATCH_QUERIES):
            chunk = slice(start, start + BATCH_QUERIES)
            matches = self._search(queries.embeddings[chunk], NEIGHBOURS + 1, setting)
            for id_, hits in zip(queries.ids[chunk], matches, strict=True):
                others = [(key, score) for key, score in hits if key != id_]
                answers.append(others[:NEIGHBOURS])
        return answers

    def _with_true_scores(self, name: str, answers: list[ScoredIds]) -> list[ScoredIds]:
        """Return the answers with the scores of the stored vectors: an index may round its own."""
        new = {id_ for hits in answers for id_, _ in hits} - self._embeddings.keys()
        self._embeddings |= self._collection.embeddings(sorted(new))
        return [
            [(id_, float(query @ self._embeddings[id_])) for id_, _ in hits]
            for query, hits in zip(self._queries[name].embeddings, answers, strict=True)
        ]

    def _search(self, embeddings: Vectors, limit: int, setting: int) -> list[ScoredIds]:
        params = {self.index.parameter: setting} if self.index.parameter else {}
        answer = self._collection.raw_search(embeddings, limit, [], "", params)
        return [[(hit[Field.ID], float(hit["distance"])) for hit in hits] for hits in answer]


def _reaches(recalls: dict[str, Recall], target: float) -> bool:
    return all(recall.lower_bound >= target for recall in recalls.values())


def _summary(recalls: NDArray[np.float64]) -> Recall:
    mean = float(recalls.mean())
    error = float(recalls.std()) / float(np.sqrt(recalls.size))
    return Recall(mean, mean - ONE_SIDED_95 * error)


def _scores(answer: ScoredIds) -> NDArray[np.float32]:
    return np.sort(np.asarray([score for _, score in answer], dtype=np.float32))[::-1]


def _largest(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the ten largest of each row, falling."""
    return -np.sort(np.partition(-scores, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS], axis=1)


def _padded(scores: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return exactly `size` scores; those that were not found are worse than any."""
    missing = max(0, size - scores.size)
    return np.pad(scores, (0, missing), constant_values=-np.inf)[:size]
