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
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors
from mm_milvus.choices import FusionName
from mm_milvus.evaluation.judgements import JudgedQueries, JudgedQuery
from mm_milvus.evaluation.metrics import Grades, index_recall_by_document, measure
from mm_milvus.evaluation.nearest import nearest, numbers_of, scores_of
from mm_milvus.evaluation.options import EvaluateOptions
from mm_milvus.evaluation.results import EXACT, EvaluationRun, summarise
from mm_milvus.evaluation.stored import StoredList, StoredVectors
from mm_milvus.schema import Field
from mm_milvus.search.candidates import QUERIES_PER_CALL, find_candidates, search_lists
from mm_milvus.search.fused import DEPTHS, FusedRanking
from mm_milvus.search.fusion import fusion_mode
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
        self._stored = stored
        order = sorted(range(len(stored.item_ids)), key=stored.item_ids.__getitem__)
        self._order = np.array(order, dtype=np.int64)

    def rows(
        self,
        vectors: Vectors,
        limit: int,
        expression: str,  # noqa: ARG002 - judged queries have no filter
        fields: Sequence[Field] = (),  # noqa: ARG002 - nothing is shown
    ) -> list[list[Match]]:
        """Return the best rows of each query of (q, dim), best first."""
        return [
            [
                self._match(int(row), float(score))
                for row, score in zip(self._order[numbers_of(keys)], scores_of(keys), strict=True)
            ]
            for keys in nearest(vectors, self._stored.vectors, self._order, limit)
        ]

    def _match(self, row: int, score: float) -> Match:
        # Only equal captions of one item are ordered by the id, for which the number will do.
        return Match(str(row), self._stored.item_ids[row], score, {})


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
    numbers = {item_id: number for number, item_id in enumerate(item_ids)}
    ranked: dict[str, list[Ranking]] = defaultdict(list)
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(queries), QUERIES_PER_CALL):
            block = queries[start : start + QUERIES_PER_CALL]
            by_list = [vectors[start : start + QUERIES_PER_CALL]] * len(lists)
            by_name = _rank_block(lists, block, by_list, fusions, depth, pool)
            for name, of_block in by_name.items():
                ranked[name] += [_numbers(of_query, numbers)[:depth] for of_query in of_block]
    return ranked


def _rank_block(
    lists: Sequence[ScoredList],
    queries: Sequence[Query],
    vectors: Sequence[Vectors],
    fusions: Sequence[FusionName],
    depth: int,
    pool: ThreadPoolExecutor,
) -> dict[str, list[list[str]]]:
    """Return, per list and per fusion mode, the item_ids of each query, best first."""
    background = any(fusion_mode(fusion).needs_background for fusion in fusions)
    fused = {
        fusion: [FusedRanking(fusion, left_out=query.like) for query in queries]
        for fusion in fusions
    }
    for step in DEPTHS:
        found = search_lists(lists, vectors, step.items, "", {}, pool)
        candidates = find_candidates(
            lists,
            vectors,
            found,
            background=background,
            bounds=[None] * len(queries),
            known=None,
            pool=pool,
            timings=Timings(),
        )
        for rankings_of in fused.values():
            for ranking, of_query in zip(rankings_of, candidates, strict=True):
                if not ranking.ended:
                    ranking.extend(of_query, step.hits)
        if step.hits >= depth:
            break
    by_list = {
        scored_list.modality.value: [
            [item_id for item_id in of_query.scores if item_id not in query.like]
            for query, of_query in zip(queries, of_list, strict=True)
        ]
        for scored_list, of_list in zip(lists, found, strict=True)
    }
    return by_list | {
        fusion: [[place.item_id for place in ranking.places] for ranking in rankings_of]
        for fusion, rankings_of in fused.items()
    }


def encode(space: Space, queries: Sequence[Query]) -> Vectors:
    """Encode queries as unit vectors: float32 (q, dim). Those of a single text go in batches."""
    plain = [query for query in queries if query.texts and query == Query(query.texts[:1])]
    texts = list(dict.fromkeys(query.texts[0] for query in plain))
    by_text = (
        dict(zip(texts, space.queries.encoder.encode_texts(texts), strict=True)) if texts else {}
    )
    encoded = {query: by_text[query.texts[0]] for query in plain}
    return np.stack(
        [encoded[query] if query in encoded else space.encode(query) for query in queries]
    )


def _numbers(item_ids: Sequence[str], numbers: Mapping[str, int]) -> Ranking:
    # An item that was stored after the vectors were read has no number, and cannot be relevant.
    return np.array([numbers.get(item_id, -1) for item_id in item_ids], dtype=np.int64)


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
