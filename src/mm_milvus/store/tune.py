"""The measured choice of nprobe or ef: recall against exact search, as users will search.

What is asked. A collection is searched by vectors of both modalities: a user's text finds images
and captions, and so does a user's image. Rows of the other collection lie far from those of this
one (the modality gap), and finding their neighbours takes more cells: recall is measured for
rows of both apart, and both must reach the target.

What counts. A stored row finds itself at once, which says nothing: it is taken out of its own
answer. Equal vectors ask once. A found row is right when its true score is that of the tenth
exact neighbour or better, so that equal neighbours, such as one caption of many images, may
stand in for each other (Aumueller et al., ANN-Benchmarks, 2017).

How surely. Of each modality a random sample of `QUERIES` asks. The recall that is compared with
the target is not their mean but what it exceeds with 95 % confidence.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mm_milvus.schema import Field
from mm_milvus.store.collection import Collection
from mm_milvus.store.index import EXACT_ROWS, INDEX_TYPES
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.read import sample, scan_embeddings
from mm_milvus.store.serve import wait_until_served

NEIGHBOURS = 10
"""Recall is measured at this depth."""

QUERIES = 256
"""How many rows of each modality ask. Single answers have a recall that deviates by about 0.06
where the mean is 0.98, so the mean of so many deviates by 0.004."""

BATCH_QUERIES = 64
TIMED_QUERIES = 30

ONE_SIDED_95 = 1.645
"""Of a normal distribution, this many standard deviations below the mean lie 5 %."""

TIE = 1e-5
"""Scores this close are equal: sums of float32 products differ by their order."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall at 10 of a sample: its mean, and what the true mean exceeds with 95 % confidence."""

    mean: float
    surely: float


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve: a setting of the knob and what was measured with it.

    recall      for each modality of the queries
    latency_ms  of one search for ten neighbours, the median of thirty
    """

    setting: int
    recall: dict[str, Recall]
    latency_ms: float

    def reaches(self, target: float) -> bool:
        """Whether queries of every modality surely find that share of their neighbours."""
        return _reaches(self.recall, target)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was measured of one collection, and what follows from it.

    knob    the search parameter that was varied; None where the index has none
    curve   rising settings, until no neighbour is missed; empty without a knob or without rows
    params  the search parameters that were chosen
    exact   whether they were not chosen by the curve: the collection is small, and scanned whole
    """

    rows: int
    knob: str | None
    curve: list[Point]
    params: dict[str, int]
    exact: bool


@dataclass(frozen=True, slots=True)
class Queries:
    """Vectors that ask, (n, dim), and the ids of the rows that they are."""

    ids: list[str]
    embeddings: NDArray[np.float32]


class Tuner:
    """Measures the search of one collection at the settings of its index.

    collection  the one that is searched
    askers      the collections whose rows ask, itself included
    """

    def __init__(
        self, collection: Collection, askers: Sequence[Collection], manifest: Manifest
    ) -> None:
        """Nothing is measured yet."""
        self.index = INDEX_TYPES[manifest.index_type]
        self.rows = collection.count()
        self.settings = self.index.settings(collection.built_with())
        self._collection = collection
        self._askers = askers
        self._target = manifest.target_recall
        self._known: dict[int, dict[str, Recall]] = {}
        self._embeddings: dict[str, NDArray[np.float32]] = {}

    @property
    def scans_all(self) -> bool:
        """Whether the collection is so small that an exact search costs next to nothing."""
        return self.index.exhaustive and self.rows <= EXACT_ROWS

    def tune(self) -> Tuning:
        """Measure the curve, and choose."""
        return Tuning(self.rows, self.index.knob, list(self.curve()), self.choose(), self.scans_all)

    def choose(self) -> dict[str, int]:
        """The search parameters: the smallest setting that surely reaches the target.

        The largest where none does, and, unmeasured, where an exact search costs next to nothing.
        """
        if self.index.knob is None:
            return {}
        *cheaper, setting = self.settings
        if self.scans_all:
            cheaper = []
        reached = (each for each in cheaper if _reaches(self.recall(each), self._target))
        return {self.index.knob: next(reached, setting)}

    def curve(self) -> Iterator[Point]:
        """Recall and latency at rising settings, until no neighbour is missed."""
        for setting in self.settings if self.rows else ():
            yield (point := Point(setting, self.recall(setting), self.latency_ms(setting)))
            if point.reaches(1):
                return

    def recall(self, setting: int) -> dict[str, Recall]:
        """For each modality of queries, their recall; none where there is nothing to be found."""
        if setting not in self._known:
            found = {name: self._recalls(name, setting) for name in self._queries}
            self._known[setting] = {
                name: _summary(recalls) for name, recalls in found.items() if recalls.size
            }
        return self._known[setting]

    def latency_ms(self, setting: int) -> float:
        """The median time of a search for ten neighbours, one query at a time."""
        embeddings = [row for asked in self._queries.values() for row in asked.embeddings]
        times = []
        for embedding in embeddings[:: max(1, len(embeddings) // TIMED_QUERIES)]:
            start = time.perf_counter()
            self._search(embedding[None], NEIGHBOURS, setting)
            times.append(time.perf_counter() - start)
        return 1000 * statistics.median(times)

    @cached_property
    def _queries(self) -> dict[str, Queries]:
        wait_until_served(self._collection, self.rows)
        asked = {}
        for asker in self._askers:
            if rows := {row.embedding.tobytes(): row for row in sample(asker, QUERIES)}.values():
                embeddings = np.stack([row.embedding for row in rows])
                asked[asker.modality.value] = Queries([row.id for row in rows], embeddings)
        return asked

    @cached_property
    def _exact(self) -> dict[str, list[NDArray[np.float32]]]:
        """For each query the scores of its exact neighbours, at most ten, falling."""
        if not self.index.exhaustive:
            return self._scan_all()
        setting = self.settings[-1]
        answers = {name: self._answers(name, setting) for name in self._queries}
        return {name: [_scores(answer) for answer in each] for name, each in answers.items()}

    def _scan_all(self) -> dict[str, list[NDArray[np.float32]]]:
        best = {
            name: np.full((len(asked.ids), NEIGHBOURS), -np.inf, dtype=np.float32)
            for name, asked in self._queries.items()
        }
        for keys, embeddings in scan_embeddings(self._collection):
            row_of = {id_: row for row, (id_, _) in enumerate(keys)}
            for name, asked in self._queries.items():
                scores = asked.embeddings @ embeddings.T
                for query, id_ in enumerate(asked.ids):
                    if (row := row_of.get(id_)) is not None:
                        scores[query, row] = -np.inf
                best[name] = _largest(np.hstack([best[name], scores]))
        return {name: [row[np.isfinite(row)] for row in each] for name, each in best.items()}

    def _recalls(self, name: str, setting: int) -> NDArray[np.float64]:
        """The recall of each query that has a neighbour to find."""
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

    def _answers(self, name: str, setting: int) -> list[list[tuple[str, float]]]:
        """For each query the ids and scores of at most ten rows, itself not among them."""
        asked = self._queries[name]
        answers = []
        for start in range(0, len(asked.ids), BATCH_QUERIES):
            chunk = slice(start, start + BATCH_QUERIES)
            found = self._search(asked.embeddings[chunk], NEIGHBOURS + 1, setting)
            for id_, hits in zip(asked.ids[chunk], found, strict=True):
                others = [(key, score) for key, score in hits if key != id_]
                answers.append(others[:NEIGHBOURS])
        return answers

    def _with_true_scores(
        self, name: str, answers: list[list[tuple[str, float]]]
    ) -> list[list[tuple[str, float]]]:
        """The answers with scores of the stored vectors: an index may round those it keeps."""
        new = {id_ for hits in answers for id_, _ in hits} - self._embeddings.keys()
        self._embeddings |= self._collection.embeddings(sorted(new))
        return [
            [(id_, float(query @ self._embeddings[id_])) for id_, _ in hits]
            for query, hits in zip(self._queries[name].embeddings, answers, strict=True)
        ]

    def _search(
        self, embeddings: NDArray[np.float32], limit: int, setting: int
    ) -> list[list[tuple[str, float]]]:
        params = {self.index.knob: setting} if self.index.knob else {}
        answer = self._collection.raw_search(embeddings, limit, [], "", params)
        return [[(hit[Field.ID], float(hit["distance"])) for hit in hits] for hits in answer]


def _reaches(recall: dict[str, Recall], target: float) -> bool:
    return all(each.surely >= target for each in recall.values())


def _summary(recalls: NDArray[np.float64]) -> Recall:
    mean = float(recalls.mean())
    error = float(recalls.std()) / float(np.sqrt(recalls.size))
    return Recall(mean, mean - ONE_SIDED_95 * error)


def _scores(answer: list[tuple[str, float]]) -> NDArray[np.float32]:
    return np.sort(np.asarray([score for _, score in answer], dtype=np.float32))[::-1]


def _largest(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The ten largest of each row, falling."""
    return -np.sort(np.partition(-scores, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS], axis=1)


def _padded(scores: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """As many scores as there could have been; those not found are worse than any."""
    missing = max(0, size - scores.size)
    return np.pad(scores, (0, missing), constant_values=-np.inf)[:size]
