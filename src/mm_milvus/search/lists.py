"""One collection as a list of scores: searched, completed, and compared with its background."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mm_milvus.keys import image_key
from mm_milvus.schema import Modality
from mm_milvus.search.fusion import SCORE_DECIMALS
from mm_milvus.store.collection import Collection
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.match import Match
from mm_milvus.store.read import captions_in_order, sample_embeddings

Vectors = NDArray[np.float32]

Best = tuple[float, str | None]
"""An item's score in a list, and the caption that has it."""

BACKGROUND_ROWS = 256
"""Of a collection: mean and deviation of so many scores are known to about 5 % of a deviation."""

CAPTIONS_AT_ONCE = 4
"""An item's captions are numbered without gaps: they are asked for by number, so many at once."""


class ScoredList:
    """The images or the captions of one encoder, where each item has a score for a query."""

    def __init__(self, dataset: Dataset, collection: Collection) -> None:
        """Name the collection of a data set; nothing is asked of it yet."""
        self.collection = collection
        self.modality = collection.modality
        self._manifest = dataset.manifest
        self._stored = _images if self.modality is Modality.IMAGE else _captions

    def search(self, vectors: Vectors, limit: int, expression: str) -> list[list[Match]]:
        """For each row of (q, dim) its best matches."""
        params = self._manifest.search_params.get(self.modality.value)
        return self.collection.search(vectors, limit, expression=expression, params=params)

    def score(self, vectors: Vectors, wanted: Sequence[Sequence[str]]) -> list[dict[str, Best]]:
        """For each row of (q, dim) the best score of each item wanted for it, by item_id.

        An item that has nothing in this collection is left out.
        """
        distinct = list(dict.fromkeys(item_id for items in wanted for item_id in items))
        stored = self._stored(self.collection, distinct) if distinct else {}
        return [
            {
                item_id: min(
                    ((float(own @ vector), caption) for caption, own in stored[item_id]),
                    key=best_first,
                )
                for item_id in items
                if item_id in stored
            }
            for vector, items in zip(vectors, wanted, strict=True)
        ]

    def background(self, vectors: Vectors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For each row of (q, dim) mean and deviation of all rows' scores, estimated: (q,) each."""
        if not len(self._sample):
            return np.zeros(len(vectors)), np.zeros(len(vectors))
        scores = (self._sample @ vectors.T).astype(np.float64)
        return scores.mean(axis=0), scores.std(axis=0)

    @cached_property
    def _sample(self) -> Vectors:
        rows = self._manifest.rows.get(self.modality.value)
        count = self.collection.count() if rows is None else rows
        return sample_embeddings(self.collection, BACKGROUND_ROWS, count)


def best_first(best: Best) -> tuple[float, str]:
    """What to sort by: the higher score, then the caption that is first in the alphabet."""
    score, caption = best
    return -round(score, SCORE_DECIMALS), caption or ""


Stored = dict[str, list[tuple[str | None, Vectors]]]


def _images(collection: Collection, item_ids: Sequence[str]) -> Stored:
    keys = {image_key(item_id): item_id for item_id in item_ids}
    return {
        keys[key]: [(None, vector)] for key, vector in collection.embeddings(list(keys)).items()
    }


def _captions(collection: Collection, item_ids: Sequence[str]) -> Stored:
    return captions_in_order(item_ids, collection.captions, CAPTIONS_AT_ONCE)
