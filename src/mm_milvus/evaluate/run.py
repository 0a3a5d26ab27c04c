"""Evaluate a data set in the store: every direction, through the index and exact."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mm_milvus.errors import QueryError
from mm_milvus.evaluate.exact import Keys, numbers_of, scores_of
from mm_milvus.evaluate.judged import read_qrels
from mm_milvus.evaluate.metrics import index_recall, measure
from mm_milvus.evaluate.pairs import Task, judged_images, known_pairs, same_label
from mm_milvus.evaluate.ranked import exact, through_index
from mm_milvus.evaluate.results import EXACT, Evaluation, Run, summarise
from mm_milvus.evaluate.stored import Stored, read_stored
from mm_milvus.schema import Modality
from mm_milvus.store import Connection, Dataset, open_dataset, require_file

DEFAULT_CUTS = (1, 5, 10)
DEFAULT_DEPTH = 100
DEFAULT_SAMPLE = 10_000


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """How to evaluate.

    queries  a file of JSON lines; needs qrels
    qrels    judgements in TREC's format; without queries, their query_ids are item_ids, whose
             images search the images
    by       the metadata key whose equal values make images relevant to each other
    cuts     the k of recall@k and its like
    depth    how many documents of a ranking are looked at
    sample   of more queries than this, so many are drawn
    seed     of the sample and of the intervals
    """

    queries: Path | None = None
    qrels: Path | None = None
    by: str | None = None
    cuts: tuple[int, ...] = DEFAULT_CUTS
    depth: int = DEFAULT_DEPTH
    sample: int = DEFAULT_SAMPLE
    seed: int = 0
    progress: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense with a `QueryError`."""
        if self.queries and not self.qrels:
            raise QueryError("queries need judgements: name their file with --qrels")
        if not self.cuts or min(self.cuts) < 1:
            raise QueryError("the k of a metric must be 1 or more")
        if self.depth < max(self.cuts):
            raise QueryError(
                f"the depth is {self.depth}, less than the largest k, {max(self.cuts)}"
            )
        if self.sample < 1:
            raise QueryError("the sample must be 1 query or more")


def evaluate(
    dataset: str | None = None,
    *,
    uri: str,
    token: str | None = None,
    db_name: str | None = None,
    options: EvaluateOptions | None = None,
) -> Evaluation:
    """How well a stored data set is searched, with confidence intervals.

    Without files, its captions are the known answers: see `pairs`. Raises `QueryError` for what
    cannot be evaluated, `StoreError`, and `MmMilvusError` without the extra `eval`.
    """
    options = options or EvaluateOptions()
    started = time.perf_counter()
    require_file(uri)
    with (
        Connection(uri, token=token, db_name=db_name) as connection,
        read_stored(opened := open_dataset(connection, dataset), options.by) as stored,
    ):
        tasks = _tasks(stored, options)
        evaluation = Evaluation(
            dataset=opened.name,
            encoders=[opened.manifest.encoder],
            items=len(stored.images.item_ids),
            captions=len(stored.texts.item_ids),
            depth=options.depth,
            cuts=options.cuts,
            seed=options.seed,
        )
        with tqdm(
            total=2 * len(tasks), unit="run", disable=None if options.progress else True
        ) as bar:
            for task in tasks:
                for run in _runs(task, stored, opened, options):
                    evaluation.runs.append(run)
                    bar.update()
    evaluation.seconds = time.perf_counter() - started
    return evaluation


def _tasks(stored: Stored, options: EvaluateOptions) -> list[Task]:
    asked = stored, options.sample, options.seed
    if options.qrels is not None:
        tasks = judged_images(stored, read_qrels(options.qrels), options.sample, options.seed)
        if not tasks:
            raise QueryError(
                f"{options.qrels} judges no item of the data set: give the queries with --queries"
            )
        return tasks
    tasks = known_pairs(*asked)
    if options.by is not None:
        labelled = same_label(*asked)
        if not labelled:
            raise QueryError(f"no two items have the same {options.by!r} in their metadata")
        tasks += labelled
    if not tasks:
        raise QueryError(
            "no item has a caption, so nothing is known to be right: "
            "give --queries and --qrels, or --by KEY"
        )
    return tasks


def _runs(task: Task, stored: Stored, dataset: Dataset, options: EvaluateOptions) -> Iterator[Run]:
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
