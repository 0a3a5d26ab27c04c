"""Evaluate a data set in the store: every encoder and direction, through the index and exact."""

from __future__ import annotations

import time

from tqdm import tqdm

from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.evaluation.judged_runs import Judged, judged_runs, missing_items, read_judged
from mm_milvus.evaluation.metrics import library
from mm_milvus.evaluation.options import EvaluateOptions
from mm_milvus.evaluation.pair_runs import pair_runs
from mm_milvus.evaluation.results import Evaluation
from mm_milvus.evaluation.stored import StoredVectors, read_stored
from mm_milvus.store.connection import StoreLike, opened
from mm_milvus.store.dataset import find_indexes, open_dataset, open_indexes
from mm_milvus.store.deprecated import accepts_old_keywords


@accepts_old_keywords
def evaluate(
    dataset: str | None = None,
    *,
    store: StoreLike = DEFAULT_STORE,
    options: EvaluateOptions | None = None,
) -> Evaluation:
    """How well a stored data set is searched, with confidence intervals.

    Without files, its captions are the known answers: see `pairs`. With queries, see `fused`.
    Raises `QueryError` for what cannot be evaluated, `StoreError`, `EncoderError` when judged
    queries cannot be encoded, and `MmMilvusError` without the extra `eval`.
    """
    options = options or EvaluateOptions()
    started = time.perf_counter()
    library()
    judged = None
    if options.queries is not None and options.qrels is not None:
        judged = read_judged(options.queries, options.qrels, options.sample, options.seed)
    with opened(store, must_exist=True) as connection:
        name = open_dataset(connection, dataset).name
        encoders = options.encoders or [each.encoder for each in find_indexes(connection, name)]
        indexes = open_indexes(connection, name, encoders)
        evaluation = Evaluation(
            dataset=name,
            encoders=[index.manifest.encoder for index in indexes],
            depth=options.depth,
            cuts=options.cuts,
            seed=options.seed,
        )
        with tqdm(unit="run", disable=None if options.progress else True) as bar:
            for index in indexes:
                with read_stored(index, options.by) as stored:
                    _describe(evaluation, stored, judged)
                    runs = (
                        pair_runs(index, stored, options)
                        if judged is None
                        else judged_runs(index, stored, judged, options)
                    )
                    for run in runs:
                        evaluation.runs.append(run)
                        bar.update()
    evaluation.seconds = time.perf_counter() - started
    return evaluation


def _describe(evaluation: Evaluation, stored: StoredVectors, judged: Judged | None) -> None:
    """What is evaluated; all encoders have the same items, or nearly so."""
    evaluation.items = len(stored.images.item_ids)
    evaluation.captions = len(stored.texts.item_ids)
    if judged is None:
        return
    evaluation.remarks = list(judged.remarks)
    if missing := missing_items(judged, stored):
        evaluation.remarks.append(
            f"{len(missing):,} relevant items are not in the data set, such as {missing[0]}: "
            "they count as not found"
        )
    asked = (query for queries in judged.queries.values() for query in queries)
    evaluation.texts = {query.query_id: query.shown for query in asked}
