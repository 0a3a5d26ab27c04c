"""The verb `moderate`: flag the images that a policy describes as unsafe."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mm_milvus.choices import DEFAULT_MODEL
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import as_encoder
from mm_milvus.pipeline.batch import Batch, Item
from mm_milvus.pipeline.options import RunOptions
from mm_milvus.sources.base import Source
from mm_milvus.sources.open import as_source
from mm_milvus.sources.options import SourceOptions
from mm_milvus.zeroshot.policy import Policy, PolicyJudge, load_policy
from mm_milvus.zeroshot.run import JudgeReport, Receiver, add_counts, judge_images


@dataclass(slots=True, kw_only=True)
class ModerateReport(JudgeReport):
    """Counts of a moderation.

    Attributes:
        policy: The name of the policy, or its file.
        flagged: Images with a category whose probability reaches its threshold.
        categories: For each category, how many images are flagged.
    """

    policy: str
    flagged: int = 0
    categories: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the report, ready for JSON."""
        return {
            **JudgeReport.to_dict(self),
            "policy": self.policy,
            "flagged": self.flagged,
            "categories": self.categories,
        }


def moderate(
    source: str | os.PathLike[str] | Source,
    policy: Policy | str | os.PathLike[str] | None = None,
    *,
    output: str | os.PathLike[str] | Receiver | None = None,
    threshold: float | None = None,
    model: str | Encoder = DEFAULT_MODEL,
    source_options: SourceOptions | None = None,
    options: RunOptions | None = None,
    rejects: str | os.PathLike[str] | None = None,
    interrupt: threading.Event | None = None,
) -> ModerateReport:
    """Flag the images that a policy describes as unsafe, without training.

    Args:
        source: What `ingest` takes, or a single image file.
        policy: A `Policy`, or its TOML file (default: the one in the package).
        output: A `.jsonl`, `.csv` or `.parquet` file for `zeroshot.policy.FINDINGS`; or a
            function that is called with record batches of these (default: neither).
        threshold: 0 to 1, in place of the policy's own.
        model: What `load_encoder` takes, or an `Encoder`.
        source_options: How to read the source.
        options: How to go through it.
        rejects: Where to write rejected items with their reasons, as JSON lines (default: nowhere).
        interrupt: An event that ends the run in order once it is set: what is judged is kept.

    Returns:
        The counts of the run.

    Raises:
        SourceError: When the source cannot be read as it was named.
        EncoderError: When the model cannot be loaded.
        UsageError: When the policy or an option cannot be used.
        OutputError: When the output cannot be written.
    """
    started = time.perf_counter()
    source = as_source(source, source_options)
    if not isinstance(policy, Policy):
        policy = load_policy(None if policy is None else Path(policy))
    if threshold is not None:
        policy = policy.with_threshold(threshold)
    encoder = as_encoder(model)
    judge = PolicyJudge(encoder, policy)
    report = ModerateReport(dataset=source.name, model=encoder.spec.id, policy=policy.name)
    report.categories = dict.fromkeys((category.name for category in policy.categories), 0)

    def account(findings: pa.RecordBatch, _batch: Batch[Item]) -> None:
        flagged = findings.filter(findings.column("flagged"))
        add_counts(report.categories, flagged.column("category"))
        report.flagged += len(pc.unique(flagged.column("item_id")))

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
    )
    report.seconds = time.perf_counter() - started
    return report
