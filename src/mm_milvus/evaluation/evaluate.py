"""Evaluate a stored dataset: every encoder and direction, through the index and exact."""

from __future__ import annotations

import time

from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.evaluation.judged_runs import judged_runs
from mm_milvus.evaluation.judgements import JudgedQueries, read_judged_queries
from mm_milvus.evaluation.metrics import require_metrics
from mm_milvus.evaluation.options import EvaluateOptions
from mm_milvus.evaluation.pair_runs import pair_runs
from mm_milvus.evaluation.results import Evaluation
from mm_milvus.evaluation.stored import StoredVectors, read_stored
from mm_milvus.progress import show_progress
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
    """Measure how well a stored dataset is searched.

    Without `queries`, its own captions are the known answers: images and captions search each
    other. With `queries` and `qrels`, the queries search the items in every fusion mode.

    Args:
        dataset: Name of the dataset (default: the only one in the store).
        store: A Milvus Lite `.db` file, `http(s)://host:port`, or an open `Store`.
        options: What to evaluate (default: all defaults).

    Returns:
        One run per encoder, direction, fusion mode and kind of search (through the index, exact),
        each with its metrics and their 95 % confidence intervals.

    Raises:
        QueryError: When the dataset does not exist, or there are no known answers.
        EncoderError: When the queries cannot be encoded.
        StoreError: When Milvus fails.
        MissingExtraError: When the extra `eval` is not installed.
    """
    options = options or EvaluateOptions()
    started = time.perf_counter()
    require_metrics()
    judged = None
    if options.queries is not None and options.qrels is not None:
        judged = read_judged_queries(options.queries, options.qrels, options.sample, options.seed)
    with opened(store, must_exist=True) as connected:
        name = open_dataset(connected, dataset).name
        encoders = options.encoders or [
            manifest.encoder for manifest in find_indexes(connected, name)
        ]
        indexes = open_indexes(connected, name, encoders)
        evaluation = Evaluation(
            dataset=name,
            encoders=[index.manifest.encoder for index in indexes],
            depth=options.depth,
            cuts=options.cuts,
            seed=options.seed,
        )
        with show_progress(options.progress, unit="runs") as bar:
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


def _describe(evaluation: Evaluation, stored: StoredVectors, judged: JudgedQueries | None) -> None:
    """Record what is evaluated; all encoders have the same items, or nearly so."""
    evaluation.items = len(stored.images.item_ids)
    evaluation.captions = len(stored.texts.item_ids)
    if judged is None:
        return
    evaluation.remarks = list(judged.remarks)
    if missing := judged.missing_items(stored.item_ids):
        evaluation.remarks.append(
            f"{len(missing):,} relevant items are not in the dataset, such as {missing[0]}: "
            "they count as not found"
        )
    evaluation.texts = {
        query.query_id: query.label for queries in judged.by_direction.values() for query in queries
    }
