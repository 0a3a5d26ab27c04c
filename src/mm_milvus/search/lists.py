"""One collection as a list of scored items: search it, score single items, estimate its noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Vector, Vectors
from mm_milvus.choices import MAX_LIMIT
from mm_milvus.filters.expression import literal
from mm_milvus.keys import image_key
from mm_milvus.schema import Field, Modality
from mm_milvus.search.fusion import SCORE_DECIMALS
from mm_milvus.store.collection import Collection, Match, rows_per_answer
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.read import (
    CAPTIONS_PER_CALL,
    captions_in_order,
    key_pages,
    sample_embeddings,
)

ItemScore = tuple[float, str | None]
"""An item's best score in a list, and the primary key of the caption that has it; None for an
image."""

KnownRows = dict[str, dict[str, Any]]
"""Fields of rows that were read on the way, by primary key: they need not be read to be shown."""

ItemScores = dict[str, ItemScore]
"""By item_id, the best score of each item in one list."""

BACKGROUND_ROWS = 256
"""Sample size per collection: mean and standard deviation of all rows' scores are estimated to
about 5 % of a standard deviation."""

MORE_ROWS = 4
"""A list that gave fewer items than wanted is read again, this many times as deep: some items have
many captions."""


MAX_SCANNED_ROWS = 16_384
"""Rows that meet an expression and are compared with the query where no index leads to all."""


@dataclass(frozen=True, slots=True)
class Found:
    """The best items of a list for one query.

    Attributes:
        scores: Their scores, best first.
        ended: Whether the list has no further items.
    """

    scores: ItemScores
    ended: bool

    @property
    def lowest(self) -> float:
        """What no item that was not found scores more than; NaN where there are none."""
        if self.ended:
            return math.nan
        return min((score for score, _ in self.scores.values()), default=-1.0)


class ScoredList:
    """The images or the captions of one encoder; each item has a score for a query."""

    def __init__(
        self, dataset: Dataset, collection: Collection, rows: Mapping[str, int] | None = None
    ) -> None:
        """Take a collection of a dataset; nothing is read yet.

        Args:
            dataset: The dataset.
            collection: One of its two collections.
            rows: The row counts of both by modality (default: those of the manifest).
        """
        self.collection = collection
        self.modality = collection.modality
        self._dataset = dataset
        self._rows = dataset.manifest.rows if rows is None else rows
        self._shown = [Field.URI, Field.METADATA]
        if self.modality is Modality.TEXT:
            self._shown.append(Field.CAPTION)

    def prepare(self) -> None:
        """Read now what is kept for all searches: the search parameters, and a sample of rows."""
        _ = self._params, self._sample

    def search(
        self, vectors: Vectors, items: int, expression: str, known: KnownRows
    ) -> list[Found]:
        """Return the best items of each query.

        An item counts once, whatever number of captions it has: the list is read on until there
        are enough items, or it ends.

        Args:
            vectors: The queries: float32 (q, dim).
            items: Number of items per query, at most `choices.MAX_LIMIT`.
            expression: A Milvus boolean expression that rows must meet; empty for all.
            known: Receives what is shown of the items, if the answer is short enough for it:
                another call for the hits alone would take longer.
        """
        found = [Found({}, ended=False)] * len(vectors)
        rows = min(MAX_LIMIT, math.ceil(items * self._rows_per_item))
        short = list(range(len(vectors)))
        while True:
            is_short = len(short) * rows <= rows_per_answer(self._shown)
            answers = self.rows(vectors[short], rows, expression, self._shown if is_short else ())
            for query, matches in zip(short, answers, strict=True):
                if is_short:
                    known |= {match.id: match.fields for match in matches}
                scores = best_scores(matches, self.modality)
                ended = len(matches) < rows and len(scores) <= items
                found[query] = Found(_first(scores, items), ended)
            short = [n for n in short if not found[n].ended and len(found[n].scores) < items]
            if not short or rows == MAX_LIMIT:
                break
            rows = min(MAX_LIMIT, MORE_ROWS * rows)
        for query in short:
            found[query] = self._beyond(found[query], vectors[query], items, expression)
        return found

    def rows(
        self, vectors: Vectors, limit: int, expression: str, fields: Sequence[Field] = ()
    ) -> list[list[Match]]:
        """Return the best rows of each query of (q, dim); fewer than `limit` are all there are."""
        search = partial(self.collection.search, limit=limit, expression=expression, fields=fields)
        answers = search(vectors, params=self._params)

        def replace_short(better: Callable[[Vectors], list[list[Match]]], enough: int) -> None:
            short = [n for n, matches in enumerate(answers) if len(matches) < enough]
            if short:
                for query, matches in zip(short, better(vectors[short]), strict=True):
                    answers[query] = matches

        if any(len(matches) < limit for matches in answers) and self._exhaustive != self._params:
            # The cells that were probed may hold few rows that meet the expression.
            replace_short(partial(search, params=self._exhaustive), limit)
        if not self.collection.store.embedded and any(len(matches) < limit for matches in answers):
            # A server has an index of its own for a segment of fewer than 1,024 rows and for what
            # was written last, of which it probes sixteen cells, whatever it is asked for.
            there = self.collection.visible_rows(expression)
            if there <= MAX_SCANNED_ROWS:
                replace_short(partial(self._scan, limit=limit, expression=expression), there)
        return answers

    def _scan(self, vectors: Vectors, limit: int, expression: str) -> list[list[Match]]:
        """Return what `rows` does, by comparing each query with every row of the expression."""
        matches: list[list[Match]] = [[] for _ in vectors]
        for rows in key_pages(self.collection, expression, fields=[Field.EMBEDDING]):
            stored = np.asarray([row[Field.EMBEDDING] for row in rows], dtype=np.float32)
            for of_query, scores in zip(matches, (vectors @ stored.T).tolist(), strict=True):
                of_query += [
                    Match(row[Field.ID], row[Field.ITEM_ID], score, {})
                    for row, score in zip(rows, scores, strict=True)
                ]
        return [
            sorted(of_query, key=lambda match: (-match.score, match.id))[:limit]
            for of_query in matches
        ]

    def score(
        self,
        vectors: Vectors,
        item_ids: Sequence[Sequence[str]],
        known: KnownRows | None = None,
    ) -> list[ItemScores]:
        """Score items by their stored vectors.

        Args:
            vectors: The queries: float32 (q, dim).
            item_ids: The items to score, per query.
            known: Receives the captions of the items, if they are few enough for one answer.

        Returns:
            Per query the best score of each item, by item_id; an item that has nothing in this
            collection is left out.
        """
        distinct = list(dict.fromkeys(item_id for wanted in item_ids for item_id in wanted))
        stored = self._stored_vectors(distinct, known) if distinct else {}
        return [
            {
                item_id: min(
                    ((float(row @ vector), key) for key, row in stored[item_id]),
                    key=score_order,
                )
                for item_id in wanted
                if item_id in stored
            }
            for vector, wanted in zip(vectors, item_ids, strict=True)
        ]

    def background(self, vectors: Vectors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Estimate, per query of (q, dim), mean and deviation of all rows' scores: (q,) each."""
        if not len(self._sample):
            return np.zeros(len(vectors)), np.zeros(len(vectors))
        scores = (self._sample @ vectors.T).astype(np.float64)
        return scores.mean(axis=0), scores.std(axis=0)

    def _beyond(self, found: Found, vector: Vector, items: int, expression: str) -> Found:
        """Read on where an answer of the greatest length has too few items: leave those out."""
        while not found.ended and len(found.scores) < items:
            known = ", ".join(map(literal, found.scores))
            others = f"{Field.ITEM_ID} not in [{known}]"
            narrowed = f"({expression}) and {others}" if expression else others
            [matches] = self.rows(vector[None], MAX_LIMIT, narrowed)
            more = best_scores(matches, self.modality)
            found = Found(_first(found.scores | more, items), ended=len(matches) < MAX_LIMIT)
        return found

    def _stored_vectors(
        self, item_ids: Sequence[str], known: KnownRows | None
    ) -> dict[str, list[tuple[str | None, Vector]]]:
        """Return per item the stored vectors, with the primary keys of captions."""
        if self.modality is Modality.IMAGE:
            keys = {image_key(item_id): item_id for item_id in item_ids}
            stored = self.collection.embeddings(list(keys))
            return {keys[key]: [(None, vector)] for key, vector in stored.items()}

        def keyed(keys: list[str]) -> dict[str, tuple[str | None, Vector]]:
            if known is None or len(keys) > rows_per_answer([Field.CAPTION]):
                stored = self.collection.embeddings(keys)
                return {key: (key, vector) for key, vector in stored.items()}
            found = {}
            for row in self.collection.get(keys, [Field.CAPTION, Field.EMBEDDING]):
                key, vector = row[Field.ID], np.asarray(row[Field.EMBEDDING], dtype=np.float32)
                found[key] = key, vector
                known.setdefault(key, {Field.CAPTION: row[Field.CAPTION]})
            return found

        return captions_in_order(item_ids, keyed, CAPTIONS_PER_CALL)

    @property
    def _rows_per_item(self) -> float:
        """Return how many rows an item has on average, up to `MORE_ROWS`; one of the images."""
        if self.modality is Modality.IMAGE:
            return 1.0
        images, texts = (self._rows.get(modality.value, 0) for modality in Modality)
        return min(MORE_ROWS, max(1.0, texts / max(1, images)))

    @cached_property
    def _params(self) -> dict[str, int]:
        return self._dataset.search_params(self.collection)

    @cached_property
    def _exhaustive(self) -> dict[str, int]:
        """Search parameters by which a short answer is a complete one."""
        return self._dataset.exhaustive_params(self.collection, self._params)

    @cached_property
    def _sample(self) -> Vectors:
        rows = self._rows.get(self.modality.value)
        count = self.collection.count() if rows is None else rows
        return sample_embeddings(self.collection, BACKGROUND_ROWS, count)


def best_scores(matches: Iterable[Match], modality: Modality) -> ItemScores:
    """Return the score of each item's best row."""
    best: ItemScores = {}
    for match in matches:
        score = match.score, match.id if modality is Modality.TEXT else None
        if match.item_id not in best or score_order(score) < score_order(best[match.item_id]):
            best[match.item_id] = score
    return best


def score_order(score: ItemScore) -> tuple[float, str]:
    """Return the sort key of an item's scores: best first, then by the key of the caption."""
    value, caption = score
    return -round(value, SCORE_DECIMALS), caption or ""


def _first(scores: ItemScores, items: int) -> ItemScores:
    """Return the best items, best first; equal scores in the order of item_id."""
    ordered = sorted(
        scores, key=lambda item_id: (-round(scores[item_id][0], SCORE_DECIMALS), item_id)
    )
    return {item_id: scores[item_id] for item_id in ordered[:items]}
