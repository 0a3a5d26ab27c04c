"""The runs over judged queries: every fusion mode, and each list alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mm_milvus.errors import QueryError
from mm_milvus.evaluation.fused import encode, exact_lists, rankings
from mm_milvus.evaluation.judged import JudgedQuery, read_qrels, read_queries
from mm_milvus.evaluation.metrics import Grades, measure, shared
from mm_milvus.evaluation.options import EvaluateOptions
from mm_milvus.evaluation.pairs import drawn
from mm_milvus.evaluation.results import EXACT, Run, summarise
from mm_milvus.evaluation.stored import StoredVectors
from mm_milvus.search.space import Space
from mm_milvus.store.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Judged:
    """Queries by direction, with the relevant items of each.

    relevant  by query_id: item_ids and grades, one item at least
    remarks   what was left out
    """

    queries: dict[str, list[JudgedQuery]]
    relevant: dict[str, dict[str, int]]
    remarks: list[str] = field(default_factory=list)


def read_judged(queries: Path, qrels: Path, sample: int, seed: int) -> Judged:
    """The queries that have a relevant item; `QueryError` where there is none."""
    asked = read_queries(queries)
    judgements = read_qrels(qrels)
    relevant = {}
    for query in asked:
        grades = judgements.get(query.query_id, {})
        if good := {item_id: grade for item_id, grade in grades.items() if grade > 0}:
            relevant[query.query_id] = good
    if not relevant:
        raise QueryError(f"{qrels} has no relevant item for any query of {queries}")
    remarks = []
    if missing := len(asked) - len(relevant):
        remarks.append(f"{missing:,} of {len(asked):,} queries have no relevant item: left out")
    able = [query for query in asked if query.query_id in relevant]
    directions: dict[str, list[JudgedQuery]] = defaultdict(list)
    for place in drawn(len(able), sample, seed):
        directions[able[place].direction].append(able[place])
    return Judged(dict(directions), relevant, remarks)


def judged_runs(
    dataset: Dataset, stored: StoredVectors, judged: Judged, options: EvaluateOptions
) -> Iterator[Run]:
    """For each direction the runs of each list alone and of each fusion mode."""
    manifest = dataset.manifest
    space = Space(dataset)
    unread = exact_lists(dataset, (stored.images, stored.texts))
    for direction, asked in judged.queries.items():
        queries = [each.query for each in asked]
        relevant = _numbered(asked, judged, stored)
        vectors = encode(space, queries)
        found, true = (
            rankings(lists, queries, vectors, stored.item_ids, options.fusions, options.depth)
            for lists in (space.lists, unread)
        )
        for fusion in true:
            for index, ranked in ((manifest.index_type, found), (EXACT, true)):
                values = measure(ranked[fusion], relevant, options.cuts)
                if ranked is found:
                    values |= shared(found[fusion], true[fusion], options.cuts)
                ids = [each.query_id for each in asked]
                yield summarise(
                    direction, manifest.encoder, fusion, index, ids, values, options.seed
                )


def missing_items(judged: Judged, stored: StoredVectors) -> list[str]:
    """The relevant items that are not in the data set: no search can find them."""
    known = set(stored.item_ids)
    return sorted({each for grades in judged.relevant.values() for each in grades} - known)


def _numbered(asked: list[JudgedQuery], judged: Judged, stored: StoredVectors) -> list[Grades]:
    """The relevant items by number; those that are not stored have numbers of their own."""
    names = [*stored.item_ids, *missing_items(judged, stored)]
    numbers = {item_id: number for number, item_id in enumerate(names)}
    return [
        {numbers[item_id]: grade for item_id, grade in judged.relevant[each.query_id].items()}
        for each in asked
    ]
