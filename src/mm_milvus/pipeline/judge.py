"""Judge the images of a data set against texts: classify and moderate."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mm_milvus.encoders import Encoder, load_encoder
from mm_milvus.encoders.base import Vectors
from mm_milvus.pipeline.findings import Findings
from mm_milvus.pipeline.flow import Flow, Item, PendingRow, regroup
from mm_milvus.pipeline.interrupt import halt_on_signal
from mm_milvus.pipeline.options import RunOptions
from mm_milvus.pipeline.report import ClassifyReport, JudgeReport, ModerateReport
from mm_milvus.pipeline.run import Stage, run
from mm_milvus.pipeline.stages import count, decode, encode, read
from mm_milvus.rejects import Reject, RejectsFile, rejects_path
from mm_milvus.sources import Source, SourceOptions, as_source
from mm_milvus.store import Connection, Dataset, annotate, open_dataset, require_file
from mm_milvus.zeroshot import TEMPLATES, LabelJudge, Policy, PolicyJudge, load_policy

Receive = Callable[[pa.RecordBatch], None]
"""Takes findings as they come."""

JUDGED = ["item_id", "image", "rejected"]
"""What is read of an item."""

ANNOTATED_ITEMS = 512
"""So many items are given their labels in the store at once."""

LABEL, PROBABILITY = "label", "label_probability"
"""The keys of an item's metadata that a classification sets."""


class Judge(Protocol):
    """Turns vectors of images into findings."""

    schema: pa.Schema

    def rows(self, item_ids: Sequence[str], images: Vectors) -> pa.RecordBatch:
        """The findings, of `schema`, for unit rows (n, dim); all of an image's in a row."""


def classify(
    source: str | os.PathLike[str] | Source,
    labels: Sequence[str],
    *,
    output: str | os.PathLike[str] | Receive | None = None,
    templates: Sequence[str] = TEMPLATES,
    top_k: int = 1,
    model: str | Encoder = "compact",
    dataset: str | None = None,
    uri: str = "./mm_milvus.db",
    token: str | None = None,
    db_name: str | None = None,
    source_options: SourceOptions | None = None,
    options: RunOptions | None = None,
) -> ClassifyReport:
    """Say which label each image has, and how probable that is: zero-shot classification.

    source            what `ingest` takes, or a single image file
    labels            of which an image has one; `LabelJudge` tells what a probability means
    output            a file, `.jsonl`, `.csv` or `.parquet`, that becomes `zeroshot.labels.
                      PREDICTIONS`; or a function that is called with record batches of those
    templates         texts with `{}` for the label, whose vectors are averaged
    top_k             how many labels of an image are told, the most probable first
    dataset           in the store at `uri`: its items get the keys `label` and
                      `label_probability` in their metadata, so that they can be filtered by
    model             what `load_encoder` takes, or an `Encoder`

    Only as much as is under way lies in memory. Bad images are counted, and written with the
    reason to `<source>.classify.rejects.jsonl` in the current folder; so are the items that the
    data set in the store has not. Ctrl-C keeps what is judged. Raises `SourceError`,
    `EncoderError`, `StoreError` or `QueryError` when it cannot run at all.
    """
    started = time.perf_counter()
    source = as_source(source, source_options)
    encoder = load_encoder(model) if isinstance(model, str) else model
    judge = LabelJudge(encoder, labels, templates=templates, top_k=top_k)
    report = ClassifyReport(dataset=source.name, model=encoder.spec.id, labelled=dataset)
    report.labels = dict.fromkeys(judge.labels, 0)
    with ExitStack() as stack:
        target = None
        if dataset is not None:
            require_file(uri)
            connection = stack.enter_context(Connection(uri, token=token, db_name=db_name))
            target = open_dataset(connection, dataset)

        def note(findings: pa.RecordBatch, flow: Flow) -> None:
            best = findings.take(pa.array(range(0, findings.num_rows, judge.top_k)))
            _add_counts(report.labels, best.column("label"))
            if target is not None:
                _annotate(target, best, flow)

        _run(
            source,
            encoder,
            judge,
            note,
            output,
            report,
            rejects_path(f"{source.name}.classify"),
            options or RunOptions(),
            group=None if target is None else ANNOTATED_ITEMS,
        )
        if target is not None and report.images:
            target.finish()
    report.seconds = time.perf_counter() - started
    return report


def moderate(
    source: str | os.PathLike[str] | Source,
    policy: Policy | str | os.PathLike[str] | None = None,
    *,
    output: str | os.PathLike[str] | Receive | None = None,
    threshold: float | None = None,
    model: str | Encoder = "compact",
    source_options: SourceOptions | None = None,
    options: RunOptions | None = None,
) -> ModerateReport:
    """Say which images look like what a policy calls unsafe, without training.

    policy     a `Policy`, or its TOML file; None: the one that comes with the package
    output     as for `classify`, of `zeroshot.moderation.FINDINGS`
    threshold  0 to 1, in the place of the policy's own

    All else is as for `classify`; the rejects are in `<source>.moderate.rejects.jsonl`.
    """
    started = time.perf_counter()
    source = as_source(source, source_options)
    if not isinstance(policy, Policy):
        policy = load_policy(None if policy is None else Path(policy))
    if threshold is not None:
        policy = policy.with_threshold(threshold)
    encoder = load_encoder(model) if isinstance(model, str) else model
    judge = PolicyJudge(encoder, policy)
    report = ModerateReport(dataset=source.name, model=encoder.spec.id, policy=policy.name)
    report.categories = dict.fromkeys((each.name for each in policy.categories), 0)

    def note(findings: pa.RecordBatch, _flow: Flow) -> None:
        flagged = findings.filter(findings.column("flagged"))
        _add_counts(report.categories, flagged.column("category"))
        report.flagged += len(pc.unique(flagged.column("item_id")))

    _run(
        source,
        encoder,
        judge,
        note,
        output,
        report,
        rejects_path(f"{source.name}.moderate"),
        options or RunOptions(),
    )
    report.seconds = time.perf_counter() - started
    return report


def _run(
    source: Source,
    encoder: Encoder,
    judge: Judge,
    note: Callable[[pa.RecordBatch, Flow], None],
    output: str | os.PathLike[str] | Receive | None,
    report: JudgeReport,
    rejects_file: Path,
    options: RunOptions,
    group: int | None = None,
) -> None:
    """Judge all images; `note` may still turn items of the flow away.

    group  how many items `note` gets at once; None: as many as the encoder takes
    """
    size = options.batch_size or encoder.batch_size
    with ExitStack() as stack:
        halt = stack.enter_context(halt_on_signal())
        rejects = stack.enter_context(closing(RejectsFile(rejects_file)))
        receive: Receive | None = output if callable(output) else None
        if output is not None and not callable(output):
            findings_file = stack.enter_context(Findings(Path(output), judge.schema))
            receive, report.output = findings_file.write, findings_file.path

        def write(flow: Flow) -> None:
            vectors = {
                item.item_id: item.image.embedding
                for item in flow.items
                if item.image is not None and item.image.embedding is not None
            }
            if not vectors:
                return
            findings = judge.rows(list(vectors), np.stack(list(vectors.values())))
            if receive is not None:
                receive(findings)
            note(findings, flow)

        stages: list[Stage] = [
            partial(decode, preprocessing=encoder.spec.preprocessing, batch_size=size),
            partial(encode, encoder=encoder, document={}, batch_size=size, halt=halt),
            count,
        ]
        if group is not None:
            stages.insert(2, partial(regroup, size=group))
        run(
            read(source.batches(), _accept, options.limit, halt),
            stages,
            write,
            report=report,
            rejects=rejects,
            total=min(filter(None, (source.size, options.limit)), default=None),
            progress=options.progress,
        )
        report.interrupted = halt.is_set()


def _accept(batch: pa.RecordBatch) -> Flow:
    """Items of a source, with nothing but their images."""
    flow = Flow(read=batch.num_rows)
    for record in batch.select(JUDGED).to_pylist():
        item_id = record["item_id"]
        if record["rejected"] is not None:
            flow.rejects.append(Reject(item_id, "read", record["rejected"]))
            continue
        image = PendingRow("", record["image"], "")
        flow.items.append(Item(item_id, "", {}, "", "", image, []))
    return flow


def _add_counts(counts: dict[str, int], names: pa.Array) -> None:
    for found in pc.value_counts(names).to_pylist():
        counts[found["values"]] += found["counts"]


def _annotate(target: Dataset, best: pa.RecordBatch, flow: Flow) -> None:
    facts: Mapping[str, dict[str, Any]] = {
        row["item_id"]: {LABEL: row["label"], PROBABILITY: round(row["probability"], 6)}
        for row in best.to_pylist()
    }
    refused = annotate(target, facts)
    flow.rejects += [Reject(item_id, "store", why) for item_id, why in refused.items()]
