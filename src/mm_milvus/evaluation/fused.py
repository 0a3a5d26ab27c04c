"""Judged queries search the items: in each list alone, and in both by every fusion mode.

The candidates are those of a search for `depth` hits: the best of each list, completed in the
other. The exact runs differ by nothing but the index: their lists are read by comparing the
query with every stored vector. Fusing all items instead would be another function, as modes look
at how the candidates score; what it would find is not what any search could.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from mm_milvus.choices import FusionName
from mm_milvus.evaluation.exact import nearest, numbers_of, pack, scores_of
from mm_milvus.evaluation.stored import StoredList
from mm_milvus.search.candidates import (
    QUERIES_PER_CALL,
    Candidates,
    candidates_per_list,
    find_candidates,
)
from mm_milvus.search.fusion import fuse_scores, rank_order
from mm_milvus.search.hits import Timings
from mm_milvus.search.lists import ScoredList
from mm_milvus.search.query import Query
from mm_milvus.search.space import Space
from mm_milvus.store.collection import Collection
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.match import Match

Rankings = dict[str, list[NDArray[np.int64]]]
"""For each fusion mode, and each list alone, the ranked items of every query."""


class ExactList(ScoredList):
    """A list that is searched by comparing with every row."""

    def __init__(self, dataset: Dataset, collection: Collection, stored: StoredList) -> None:
        """The collection, and what was read of it."""
        super().__init__(dataset, collection)
        self._rows = stored
        order = sorted(range(len(stored.item_ids)), key=stored.item_ids.__getitem__)
        self._order = np.array(order, dtype=np.int64)

    def search(
        self,
        vectors: NDArray[np.float32],
        limit: int,
        expression: str,  # noqa: ARG002 - judged queries have no filter
    ) -> list[list[Match]]:
        """For each row of (q, dim) its best matches."""
        found = nearest(vectors, self._rows.vectors, self._order, limit)
        return [
            [
                self._match(int(row), float(score))
                for row, score in zip(self._order[numbers_of(keys)], scores_of(keys), strict=True)
            ]
            for keys in found
        ]

    def _match(self, row: int, score: float) -> Match:
        captions = self._rows.captions
        caption = captions[row] if captions else None
        return Match(self._rows.item_ids[row], "", score, {}, caption)


def rankings(
    lists: Sequence[ScoredList],
    queries: Sequence[Query],
    vectors: NDArray[np.float32],
    item_ids: Sequence[str],
    fusions: Sequence[FusionName],
    depth: int,
) -> Rankings:
    """The `depth` best items of each query, in every way.

    lists     the images and the captions
    vectors   of the queries: float32 (q, dim)
    item_ids  sorted; the numbers of items are their places here
    """
    limit = candidates_per_list(depth)
    numbers = {item_id: number for number, item_id in enumerate(item_ids)}
    found: Rankings = defaultdict(list)
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(queries), QUERIES_PER_CALL):
            asked = vectors[start : start + QUERIES_PER_CALL]
            for one in lists:
                for matches in one.search(asked, limit, ""):
                    found[one.modality.value].append(_alone(matches, numbers))
            both = find_candidates(
                *(lists, [asked] * len(lists), limit, ""),
                background=True,
                pool=pool,
                timings=Timings(),
            )
            for candidates in both:
                for fusion in fusions:
                    found[fusion].append(_fused(candidates, fusion, numbers))
    return {
        name: [
            _cut(ranking, query, numbers, depth)
            for ranking, query in zip(ranked, queries, strict=True)
        ]
        for name, ranked in found.items()
    }


def encode(space: Space, queries: Sequence[Query]) -> NDArray[np.float32]:
    """The queries as unit vectors, float32 (q, dim); those of one text alone in batches."""
    plain = [query for query in queries if query.texts and query == Query(query.texts[:1])]
    texts = list(dict.fromkeys(query.texts[0] for query in plain))
    vectors = dict(zip(texts, space.encoder.encode_texts(texts), strict=True)) if texts else {}
    known = {query: vectors[query.texts[0]] for query in plain}
    return np.stack([known[query] if query in known else space.encode(query) for query in queries])


def exact_lists(dataset: Dataset, stored: Sequence[StoredList]) -> list[ScoredList]:
    """The lists of a data set without their index."""
    return [
        ExactList(dataset, collection, rows)
        for collection, rows in zip(dataset.collections, stored, strict=True)
    ]


def _alone(matches: Sequence[Match], numbers: dict[str, int]) -> NDArray[np.int64]:
    """One list's items, the best row of each, best first."""
    known = [match for match in matches if match.item_id in numbers]
    documents = np.array([numbers[match.item_id] for match in known], dtype=np.int64)
    keys = np.sort(pack(np.array([match.score for match in known]), documents))[::-1]
    _, first = np.unique(numbers_of(keys), return_index=True)
    return numbers_of(keys)[np.sort(first)]


def _fused(
    candidates: Candidates, fusion: FusionName, numbers: dict[str, int]
) -> NDArray[np.int64]:
    if not candidates.rows:
        return np.empty(0, dtype=np.int64)
    item_ids = candidates.item_ids
    fused = fuse_scores(candidates.scores, fusion, background=candidates.background)
    order = rank_order(fused, candidates.scores, item_ids)
    # What was stored since the items were read has no number, and cannot be relevant.
    return np.array([numbers.get(item_ids[n], -1) for n in order], dtype=np.int64)


def _cut(
    ranking: NDArray[np.int64], query: Query, numbers: dict[str, int], depth: int
) -> NDArray[np.int64]:
    """The items that a query is to be like are not found themselves."""
    liked = [numbers[item_id] for item_id in query.like if item_id in numbers]
    return ranking[~np.isin(ranking, liked)][:depth] if liked else ranking[:depth]
