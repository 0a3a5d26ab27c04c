"""One collection as a list of scored items: search it, score single items, estimate its noise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Vector, Vectors
from mm_milvus.keys import image_key
from mm_milvus.schema import Modality
from mm_milvus.search.fusion import SCORE_DECIMALS
from mm_milvus.store.collection import Collection, Match
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.read import captions_in_order, sample_embeddings

ItemScore = tuple[float, str | None]
"""An item's best score in a list, and the caption that has it; None for an image."""

BACKGROUND_ROWS = 256
"""Sample size per collection: mean and standard deviation of all rows' scores are estimated to
about 5 % of a standard deviation."""

CAPTIONS_PER_CALL = 4
"""An item's captions are numbered without gaps, and are fetched by number, this many per call."""


class ScoredList:
    """The images or the captions of one encoder; each item has a score for a query."""

    def __init__(self, dataset: Dataset, collection: Collection) -> None:
        """Take a collection of a dataset; nothing is read yet."""
        self.collection = collection
        self.modality = collection.modality
        self._dataset = dataset
        self._fetch = _image_vectors if self.modality is Modality.IMAGE else _caption_vectors

    def search(self, vectors: Vectors, limit: int, expression: str) -> list[list[Match]]:
        """Return the best matches of each query, best first.

        Args:
            vectors: The queries: float32 (q, dim).
            limit: Maximum number of rows per query.
            expression: A Milvus boolean expression that rows must meet; empty for all.
        """
        return self.collection.search(vectors, limit, expression=expression, params=self._params)

    def score(
        self, vectors: Vectors, item_ids: Sequence[Sequence[str]]
    ) -> list[dict[str, ItemScore]]:
        """Score items by their stored vectors.

        Args:
            vectors: The queries: float32 (q, dim).
            item_ids: The items to score, per query.

        Returns:
            Per query the best score of each item, by item_id; an item that has nothing in this
            collection is left out.
        """
        distinct = list(dict.fromkeys(item_id for wanted in item_ids for item_id in wanted))
        stored = self._fetch(self.collection, distinct) if distinct else {}
        return [
            {
                item_id: min(
                    ((float(row @ vector), caption) for caption, row in stored[item_id]),
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

    @cached_property
    def _params(self) -> dict[str, int]:
        return self._dataset.search_params(self.collection)

    @cached_property
    def _sample(self) -> Vectors:
        rows = self._dataset.manifest.rows.get(self.modality.value)
        count = self.collection.count() if rows is None else rows
        return sample_embeddings(self.collection, BACKGROUND_ROWS, count)


def score_order(score: ItemScore) -> tuple[float, str]:
    """Return the sort key of an item's scores: best first, then captions alphabetically."""
    value, caption = score
    return -round(value, SCORE_DECIMALS), caption or ""


StoredVectorsByItem = dict[str, list[tuple[str | None, Vector]]]
"""Per item_id the stored vectors, with their captions."""


def _image_vectors(collection: Collection, item_ids: Sequence[str]) -> StoredVectorsByItem:
    keys = {image_key(item_id): item_id for item_id in item_ids}
    return {
        keys[key]: [(None, vector)] for key, vector in collection.embeddings(list(keys)).items()
    }


def _caption_vectors(collection: Collection, item_ids: Sequence[str]) -> StoredVectorsByItem:
    return captions_in_order(item_ids, collection.captions, CAPTIONS_PER_CALL)
