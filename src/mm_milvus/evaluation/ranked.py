"""Rankings of a task's documents: exact, and through the index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mm_milvus.choices import MAX_LIMIT
from mm_milvus.evaluation.exact import Keys, nearest, numbers_of, pack
from mm_milvus.evaluation.pairs import Task
from mm_milvus.evaluation.stored import StoredList
from mm_milvus.schema import Field, Modality
from mm_milvus.store.collection import Collection

CALL_QUERIES = 32
"""Several queries in one call are quicker than several calls."""

DEEPER = 4
"""Where rows of one document take the places of others, the search is repeated so much deeper."""


def exact(task: Task, searched: StoredList, depth: int) -> list[Keys]:
    """The `depth` best documents of each query, by the inner product of the stored vectors."""
    found = nearest(task.vectors, searched.vectors, task.documents.rows, depth + 1)
    return _without_own(found, task.own, depth)


def through_index(
    task: Task, collection: Collection, depth: int, params: dict[str, int] | None
) -> list[Keys]:
    """The `depth` best documents of each query, as the engine's index finds them."""
    found: list[Keys] = []
    numbers = task.documents.numbers()
    for start in range(0, len(task.vectors), CALL_QUERIES):
        block = task.vectors[start : start + CALL_QUERIES]
        found += search_documents(collection, block, numbers, depth + 1, params)
    return _without_own(found, task.own, depth)


def search_documents(
    collection: Collection,
    queries: NDArray[np.float32],
    numbers: dict[str, int],
    wanted: int,
    params: dict[str, int] | None,
) -> list[Keys]:
    """For each query the keys of at least `wanted` documents, if the index finds so many.

    numbers  of the documents, by item_id in the image collection, by caption in the other
    """
    name = Field.CAPTION if collection.modality is Modality.TEXT else Field.ITEM_ID
    found: dict[int, Keys] = {}
    limit, waiting = wanted, list(range(len(queries)))
    while waiting:
        answers = collection.raw_search(queries[waiting], limit, [name.value], "", params)
        short = []
        for query, hits in zip(waiting, answers, strict=True):
            found[query] = _distinct(
                [numbers.get(hit["entity"][name], -1) for hit in hits],
                [hit["distance"] for hit in hits],
            )
            if len(found[query]) < wanted and len(hits) == limit < MAX_LIMIT:
                short.append(query)
        waiting, limit = short, min(DEEPER * limit, MAX_LIMIT)
    return [found[query] for query in range(len(queries))]


def _distinct(numbers: Sequence[int], scores: Sequence[float]) -> Keys:
    """The keys, best first, each document once; what was stored since has no number."""
    documents = np.array(numbers, dtype=np.int64)
    known = documents >= 0
    keys = np.sort(pack(np.array(scores, dtype=np.float64)[known], documents[known]))[::-1]
    _, first = np.unique(numbers_of(keys), return_index=True)
    return keys[np.sort(first)]


def _without_own(found: Sequence[Keys], own: NDArray[np.int64], depth: int) -> list[Keys]:
    return [keys[numbers_of(keys) != self][:depth] for keys, self in zip(found, own, strict=True)]
