"""Runs over judged queries: they search the items in each list alone, and by every fusion mode.

In: a stored dataset, its vectors and `JudgedQueries`. Out: one `EvaluationRun` per direction, per
list or fusion mode, and per kind of search (through the index, exact).

The candidates are those of a search for `depth` hits: the best of each list, completed in the
other. The exact runs differ in the index only: their lists are searched by comparing the query with
every stored vector. Fusing all items instead would be another function, since modes depend on how
the candidates score; no search could find its results.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors
from mm_milvus.choices import FusionName
from mm_milvus.evaluation.judgements import JudgedQueries, JudgedQuery
from mm_milvus.evaluation.metrics import Grades, index_recall_by_document, measure
from mm_milvus.evaluation.nearest import first_per_document, nearest, numbers_of, pack, scores_of
from mm_milvus.evaluation.options import EvaluateOptions
from mm_milvus.evaluation.results import EXACT, EvaluationRun, summarise
from mm_milvus.evaluation.stored import StoredList, StoredVectors
from mm_milvus.search.candidates import (
    QUERIES_PER_CALL,
    Candidates,
    candidates_per_list,
    find_candidates,
    search_lists,
)
from mm_milvus.search.fusion import fuse_scores, fusion_mode, rank_order
from mm_milvus.search.hits import Timings
from mm_milvus.search.lists import ScoredList
from mm_milvus.search.query import Query
from mm_milvus.search.space import Space
from mm_milvus.store.collection import Collection, Match
from mm_milvus.store.dataset import Dataset

Ranking = NDArray[np.int64]
"""Numbers of items, best first."""


def judged_runs(
    dataset: Dataset, stored: StoredVectors, judged: JudgedQueries, options: EvaluateOptions
) -> Iterator[EvaluationRun]:
    """Yield, per direction, the runs of each list alone and of each fusion mode."""
    manifest = dataset.manifest
    space = Space(dataset)
    exact_lists = [
        ExactList(dataset, collection, rows)
        for collection, rows in zip(dataset.collections, stored.lists, strict=True)
    ]
    for direction, judged_queries in judged.by_direction.items():
        query_ids = [judged_query.query_id for judged_query in judged_queries]
        queries = [judged_query.query for judged_query in judged_queries]
        relevant = _numbered(judged_queries, judged, stored.item_ids)
        vectors = encode(space, queries)
        through_index, exact = (
            rankings(lists, queries, vectors, stored.item_ids, options.fusions, options.depth)
            for lists in (space.lists, exact_lists)
        )
        for fusion in exact:
            for index, ranked in ((manifest.index_type, through_index), (EXACT, exact)):
                values = measure(ranked[fusion], relevant, options.cuts)
                if ranked is through_index:
                    values |= index_recall_by_document(
                        through_index[fusion], exact[fusion], options.cuts
                    )
                yield summarise(
                    direction, manifest.encoder, fusion, index, query_ids, values, options.seed
                )


class ExactList(ScoredList):
    """A list that is searched by comparing the query with every stored vector."""

    def __init__(self, dataset: Dataset, collection: Collection, stored: StoredList) -> None:
        """Take a collection of a dataset, and what was read of it."""
        super().__init__(dataset, collection)
        self._rows = stored
        order = sorted(range(len(stored.item_ids)), key=stored.item_ids.__getitem__)
        self._order = np.array(order, dtype=np.int64)

    def search(
        self,
        vectors: Vectors,
        limit: int,
        expression: str,  # noqa: ARG002 - judged queries have no filter
    ) -> list[list[Match]]:
        """Return the best matches of each query of (q, dim), best first."""
        return [
            [
                self._match(int(row), float(score))
                for row, score in zip(self._order[numbers_of(keys)], scores_of(keys), strict=True)
            ]
            for keys in nearest(vectors, self._rows.vectors, self._order, limit)
        ]

    def _match(self, row: int, score: float) -> Match:
        captions = self._rows.captions
        caption = captions[row] if captions else None
        return Match(self._rows.item_ids[row], "", score, {}, caption)


def rankings(
    lists: Sequence[ScoredList],
    queries: Sequence[Query],
    vectors: Vectors,
    item_ids: Sequence[str],
    fusions: Sequence[FusionName],
    depth: int,
) -> dict[str, list[Ranking]]:
    """Rank the items for each query, by each list alone and by each fusion mode.

    Args:
        lists: The lists of images and of captions.
        queries: q queries.
        vectors: Their vectors: float32 (q, dim).
        item_ids: All items, sorted; an item's number is its position here.
        fusions: Fusion modes.
        depth: Maximum length of a ranking.

    Returns:
        Per list ("image", "text") and per fusion mode, the rankings of all queries.
    """
    limit = candidates_per_list(depth)
    numbers = {item_id: number for number, item_id in enumerate(item_ids)}
    background = any(fusion_mode(fusion).needs_background for fusion in fusions)
    ranked: dict[str, list[Ranking]] = defaultdict(list)
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(queries), QUERIES_PER_CALL):
            block = vectors[start : start + QUERIES_PER_CALL]
            by_list = [block] * len(lists)
            matches = search_lists(lists, by_list, limit, "", pool)
            for scored_list, by_query in zip(lists, matches, strict=True):
                ranked[scored_list.modality.value] += [
                    _rank_list(of_query, numbers) for of_query in by_query
                ]
            for candidates in find_candidates(
                lists, by_list, matches, background=background, pool=pool, timings=Timings()
            ):
                for fusion in fusions:
                    ranked[fusion].append(_rank_fused(candidates, fusion, numbers))
    return {
        name: [
            _without_liked(ranking, query, numbers)[:depth]
            for ranking, query in zip(rankings, queries, strict=True)
        ]
        for name, rankings in ranked.items()
    }


def encode(space: Space, queries: Sequence[Query]) -> Vectors:
    """Encode queries as unit vectors: float32 (q, dim). Those of a single text go in batches."""
    plain = [query for query in queries if query.texts and query == Query(query.texts[:1])]
    texts = list(dict.fromkeys(query.texts[0] for query in plain))
    by_text = dict(zip(texts, space.encoder.encode_texts(texts), strict=True)) if texts else {}
    encoded = {query: by_text[query.texts[0]] for query in plain}
    return np.stack(
        [encoded[query] if query in encoded else space.encode(query) for query in queries]
    )


def _rank_list(matches: Sequence[Match], numbers: dict[str, int]) -> Ranking:
    """Rank the items of one list by their best rows."""
    numbered = [match for match in matches if match.item_id in numbers]
    documents = np.array([numbers[match.item_id] for match in numbered], dtype=np.int64)
    keys = np.sort(pack(np.array([match.score for match in numbered]), documents))[::-1]
    return numbers_of(first_per_document(keys))


def _rank_fused(candidates: Candidates, fusion: FusionName, numbers: dict[str, int]) -> Ranking:
    if not candidates.rows:
        return np.empty(0, dtype=np.int64)
    item_ids = candidates.item_ids
    fused = fuse_scores(candidates.scores, fusion, background=candidates.background)
    order = rank_order(fused, candidates.scores, item_ids)
    # An item that was stored after the vectors were read has no number, and cannot be relevant.
    return np.array([numbers.get(item_ids[n], -1) for n in order], dtype=np.int64)


def _without_liked(ranking: Ranking, query: Query, numbers: dict[str, int]) -> Ranking:
    """Leave out the items of `like`: a search does not return them."""
    liked = [numbers[item_id] for item_id in query.like if item_id in numbers]
    return ranking[~np.isin(ranking, liked)] if liked else ranking


def _numbered(
    judged_queries: list[JudgedQuery], judged: JudgedQueries, item_ids: list[str]
) -> list[Grades]:
    """Return the grades by item number; missing items get the numbers after the stored ones."""
    numbers = {
        item_id: number
        for number, item_id in enumerate([*item_ids, *judged.missing_items(item_ids)])
    }
    return [
        {numbers[item_id]: grade for item_id, grade in judged.relevant[query.query_id].items()}
        for query in judged_queries
    ]
