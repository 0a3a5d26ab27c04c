"""Runs over known pairs: the queries of a task search one list, so that nothing is fused.

In: a stored dataset and its vectors. Out: two `EvaluationRun`s per task, through the
index and exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors
from mm_milvus.choices import MAX_LIMIT
from mm_milvus.errors import QueryError
from mm_milvus.evaluation.judgements import read_qrels
from mm_milvus.evaluation.metrics import index_recall, measure
from mm_milvus.evaluation.nearest import (
    Keys,
    first_per_document,
    nearest,
    numbers_of,
    pack,
    scores_of,
)
from mm_milvus.evaluation.options import EvaluateOptions
from mm_milvus.evaluation.pairs import Task, judged_images, known_pairs, same_label
from mm_milvus.evaluation.results import EXACT, EvaluationRun, summarise
from mm_milvus.evaluation.stored import StoredList, StoredVectors
from mm_milvus.schema import Field, Modality
from mm_milvus.store.collection import Collection
from mm_milvus.store.dataset import Dataset

QUERIES_PER_CALL = 32
"""Several queries in one call are faster than several calls."""

DEEPER = 4
"""Where several rows of one document displace other documents, the search is repeated with this
many times the limit."""


def pair_runs(
    dataset: Dataset, stored: StoredVectors, options: EvaluateOptions
) -> Iterator[EvaluationRun]:
    """Yield the runs of every direction that has pairs.

    Raises:
        QueryError: When no direction has any.
    """
    for task in _tasks(stored, options):
        yield from _task_runs(task, stored, dataset, options)


def _tasks(stored: StoredVectors, options: EvaluateOptions) -> list[Task]:
    if options.qrels is not None:
        tasks = judged_images(stored, read_qrels(options.qrels), options.sample, options.seed)
        if not tasks:
            raise QueryError(
                f"{options.qrels} judges no item of the dataset: name the file of its queries "
                "(`queries`)"
            )
        return tasks
    tasks = known_pairs(stored, options.sample, options.seed)
    if options.by is not None:
        labelled = same_label(stored, options.sample, options.seed)
        if not labelled:
            raise QueryError(f"no two items have the same {options.by!r} in their metadata")
        tasks += labelled
    if not tasks:
        raise QueryError(
            "no item has a caption, so no right answers are known: give `queries` and `qrels`, or "
            "a metadata key (`by`)"
        )
    return tasks


def _task_runs(
    task: Task, stored: StoredVectors, dataset: Dataset, options: EvaluateOptions
) -> Iterator[EvaluationRun]:
    is_text = task.modality is Modality.TEXT
    collection, rows = (dataset.texts, stored.texts) if is_text else (dataset.images, stored.images)
    manifest = dataset.manifest
    params = dataset.search_params(collection)
    through_index = _rank_through_index(task, collection, options.depth, params)
    exact = _rank_exactly(task, rows, options.depth)

    def summary(index: str, rankings: list[Keys]) -> EvaluationRun:
        values = measure([numbers_of(keys) for keys in rankings], task.relevant, options.cuts)
        if index != EXACT:
            values |= index_recall(
                [scores_of(keys) for keys in through_index],
                [scores_of(keys) for keys in exact],
                options.cuts,
            )
        return summarise(
            task.direction, manifest.encoder, None, index, task.query_ids, values, options.seed
        )

    yield summary(manifest.index_type, through_index)
    yield summary(EXACT, exact)


def _rank_exactly(task: Task, rows: StoredList, depth: int) -> list[Keys]:
    """Return the `depth` best documents of each query, by inner product of the stored vectors."""
    rankings = nearest(task.vectors, rows.vectors, task.documents.rows, depth + 1)
    return _without_excluded(rankings, task.excluded, depth)


def _rank_through_index(
    task: Task, collection: Collection, depth: int, params: dict[str, int]
) -> list[Keys]:
    """Return the `depth` best documents of each query, as the engine's index finds them."""
    rankings: list[Keys] = []
    numbers = task.documents.numbers()
    for start in range(0, len(task.vectors), QUERIES_PER_CALL):
        block = task.vectors[start : start + QUERIES_PER_CALL]
        rankings += _search_documents(collection, block, numbers, depth + 1, params)
    return _without_excluded(rankings, task.excluded, depth)


def _search_documents(
    collection: Collection,
    queries: Vectors,
    numbers: dict[str, int],
    count: int,
    params: dict[str, int] | None,
) -> list[Keys]:
    """Search for documents, deeper until there are enough.

    Args:
        collection: The collection to search.
        queries: float32 (q, dim).
        numbers: Document numbers, by item_id in the image collection, by caption in the other.
        count: Number of documents per query.
        params: Search parameters of the index.

    Returns:
        Per query the keys of at least `count` documents, if the index finds as many.
    """
    name = Field.CAPTION if collection.modality is Modality.TEXT else Field.ITEM_ID
    rankings: dict[int, Keys] = {}
    limit, pending = count, list(range(len(queries)))
    while pending:
        answers = collection.raw_search(queries[pending], limit, [name.value], "", params)
        short = []
        for query, hits in zip(pending, answers, strict=True):
            rankings[query] = _distinct(
                [numbers.get(hit["entity"][name], -1) for hit in hits],
                [hit["distance"] for hit in hits],
            )
            if len(rankings[query]) < count and len(hits) == limit < MAX_LIMIT:
                short.append(query)
        pending, limit = short, min(DEEPER * limit, MAX_LIMIT)
    return [rankings[query] for query in range(len(queries))]


def _distinct(numbers: Sequence[int], scores: Sequence[float]) -> Keys:
    """Return the keys, best first, one per document.

    A document that was stored after the vectors were read has the number -1, and is left out.
    """
    documents = np.array(numbers, dtype=np.int64)
    has_number = documents >= 0
    keys = pack(np.array(scores, dtype=np.float64)[has_number], documents[has_number])
    return first_per_document(np.sort(keys)[::-1])


def _without_excluded(
    rankings: Sequence[Keys], excluded: NDArray[np.int64], depth: int
) -> list[Keys]:
    return [
        keys[numbers_of(keys) != number][:depth]
        for keys, number in zip(rankings, excluded, strict=True)
    ]
