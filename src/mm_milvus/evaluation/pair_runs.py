"""The runs over known pairs: one list is searched, so that there is nothing to fuse."""

from __future__ import annotations

from collections.abc import Iterator

from mm_milvus.errors import QueryError
from mm_milvus.evaluation.exact import Keys, numbers_of, scores_of
from mm_milvus.evaluation.judged import read_qrels
from mm_milvus.evaluation.metrics import index_recall, measure
from mm_milvus.evaluation.options import EvaluateOptions
from mm_milvus.evaluation.pairs import Task, judged_images, known_pairs, same_label
from mm_milvus.evaluation.ranked import exact, through_index
from mm_milvus.evaluation.results import EXACT, Run, summarise
from mm_milvus.evaluation.stored import StoredVectors
from mm_milvus.schema import Modality
from mm_milvus.store.dataset import Dataset


def pair_runs(dataset: Dataset, stored: StoredVectors, options: EvaluateOptions) -> Iterator[Run]:
    """The runs of every direction that has pairs; `QueryError` where there is none."""
    for task in _tasks(stored, options):
        yield from _runs(task, stored, dataset, options)


def _tasks(stored: StoredVectors, options: EvaluateOptions) -> list[Task]:
    if options.qrels is not None:
        tasks = judged_images(stored, read_qrels(options.qrels), options.sample, options.seed)
        if not tasks:
            raise QueryError(
                f"{options.qrels} judges no item of the data set: give the queries with --queries"
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
            "no item has a caption, so nothing is known to be right: "
            "give --queries and --qrels, or --by KEY"
        )
    return tasks


def _runs(
    task: Task, stored: StoredVectors, dataset: Dataset, options: EvaluateOptions
) -> Iterator[Run]:
    texts = task.modality is Modality.TEXT
    collection, searched = (
        (dataset.texts, stored.texts) if texts else (dataset.images, stored.images)
    )
    manifest = dataset.manifest
    params = manifest.search_params.get(task.modality.value)
    found = through_index(task, collection, options.depth, params)
    true = exact(task, searched, options.depth)

    def run(index: str, keys: list[Keys]) -> Run:
        values = measure([numbers_of(each) for each in keys], task.relevant, options.cuts)
        if index != EXACT:
            scores = [scores_of(each) for each in found], [scores_of(each) for each in true]
            values |= index_recall(*scores, options.cuts)
        return summarise(
            task.direction, manifest.encoder, None, index, task.query_ids, values, options.seed
        )

    yield run(manifest.index_type, found)
    yield run(EXACT, true)
