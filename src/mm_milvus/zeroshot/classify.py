"""The verb `classify`: zero-shot classification of the images of a dataset."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mm_milvus.choices import DEFAULT_MODEL, DEFAULT_STORE
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import as_encoder
from mm_milvus.pipeline.batch import Batch, Item
from mm_milvus.pipeline.options import RunOptions
from mm_milvus.rejects import Reject
from mm_milvus.sources.base import Source
from mm_milvus.sources.open import as_source
from mm_milvus.sources.options import SourceOptions
from mm_milvus.store.annotate import annotate
from mm_milvus.store.connection import StoreLike, opened
from mm_milvus.store.dataset import Dataset, open_dataset
from mm_milvus.store.deprecated import accepts_old_keywords
from mm_milvus.zeroshot.labels import TEMPLATES, LabelJudge
from mm_milvus.zeroshot.run import JudgeReport, Receiver, add_counts, judge_images

ANNOTATED_ITEMS = 512
"""Items whose labels are written to the store in one call."""

LABEL, PROBABILITY = "label", "label_probability"
"""The metadata keys that a classification sets."""


@dataclass(slots=True, kw_only=True)
class ClassifyReport(JudgeReport):
    """Counts of a classification.

    Attributes:
        labels: For each label, of how many images it is the most probable one.
        labelled: The stored dataset whose metadata has the labels now; None: none has.
    """

    labels: dict[str, int] = field(default_factory=dict)
    labelled: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the report, ready for JSON."""
        return {
            **JudgeReport.to_dict(self),
            "dataset": self.labelled,
            "labels": self.labels,
        }


@accepts_old_keywords
def classify(
    source: str | os.PathLike[str] | Source,
    labels: Sequence[str],
    *,
    output: str | os.PathLike[str] | Receiver | None = None,
    templates: Sequence[str] = TEMPLATES,
    top_k: int = 1,
    model: str | Encoder = DEFAULT_MODEL,
    dataset: str | None = None,
    store: StoreLike = DEFAULT_STORE,
    source_options: SourceOptions | None = None,
    options: RunOptions | None = None,
    rejects: str | os.PathLike[str] | None = None,
    interrupt: threading.Event | None = None,
) -> ClassifyReport:
    """Find the most probable label of each image, without training: zero-shot classification.

    Memory does not grow with the dataset. Bad images are counted and never stop the run; so are
    items that `dataset` does not hold.

    Args:
        source: What `ingest` takes, or a single image file.
        labels: The labels of which an image has one; `LabelJudge` explains the probabilities.
        output: A `.jsonl`, `.csv` or `.parquet` file for `zeroshot.labels.PREDICTIONS`; or a
            function that is called with record batches of these (default: neither).
        templates: Texts with `{}` for the label, whose vectors are averaged.
        top_k: Labels per image, the most probable first.
        model: What `load_encoder` takes, or an `Encoder`.
        dataset: A stored dataset whose items get the metadata keys `label` and
            `label_probability`, so that they can be filtered (default: none).
        store: Where `dataset` is: a Milvus Lite file, the URI of a server, or an open `Store`.
        source_options: How to read the source.
        options: How to go through it.
        rejects: Where to write rejected items with their reasons, as JSON lines (default: nowhere).
        interrupt: An event that ends the run in order once it is set: what is judged is kept.

    Returns:
        The counts of the run.

    Raises:
        SourceError: When the source cannot be read as it was named.
        EncoderError: When the model cannot be loaded.
        StoreError: When the store cannot be reached.
        UsageError: When the labels, templates or options cannot be used, or `dataset` is unknown.
        OutputError: When the output cannot be written.
    """
    started = time.perf_counter()
    source = as_source(source, source_options)
    encoder = as_encoder(model)
    judge = LabelJudge(encoder, labels, templates=templates, top_k=top_k)
    report = ClassifyReport(dataset=source.name, model=encoder.spec.id, labelled=dataset)
    report.labels = dict.fromkeys(judge.labels, 0)
    with ExitStack() as stack:
        target = None
        if dataset is not None:
            target = open_dataset(stack.enter_context(opened(store, must_exist=True)), dataset)

        def account(findings: pa.RecordBatch, batch: Batch[Item]) -> None:
            best = findings.take(pa.array(range(0, findings.num_rows, judge.top_k)))
            add_counts(report.labels, best.column("label"))
            if target is not None:
                _annotate(target, best, batch)

        judge_images(
            source,
            encoder,
            judge,
            account,
            output=output,
            report=report,
            rejects=rejects,
            options=options or RunOptions(),
            interrupt=interrupt,
            items_per_call=None if target is None else ANNOTATED_ITEMS,
        )
        if target is not None and report.images:
            target.finish()
    report.seconds = time.perf_counter() - started
    return report


def _annotate(target: Dataset, best: pa.RecordBatch, batch: Batch[Item]) -> None:
    metadata: Mapping[str, dict[str, Any]] = {
        row["item_id"]: {LABEL: row["label"], PROBABILITY: round(row["probability"], 6)}
        for row in best.to_pylist()
    }
    reasons = annotate(target, metadata)
    batch.rejects += [Reject(item_id, "store", reason) for item_id, reason in reasons.items()]
