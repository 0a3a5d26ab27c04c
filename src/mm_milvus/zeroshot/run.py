"""The run that `classify` and `moderate` share: decode, encode, judge, report."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mm_milvus.arrays import Vectors
from mm_milvus.encoders.base import Encoder
from mm_milvus.pipeline.batch import Batch, Item, PendingRow, regroup
from mm_milvus.pipeline.options import RunOptions
from mm_milvus.pipeline.report import Report
from mm_milvus.pipeline.run import run
from mm_milvus.pipeline.stages import count_new, encoding_stages
from mm_milvus.rejects import Reject, RejectsFile
from mm_milvus.sources.base import Source
from mm_milvus.sources.opened import decoding_of
from mm_milvus.zeroshot.findings import FindingsFile

Receiver = Callable[[pa.RecordBatch], None]
"""Called with record batches of findings, of the schema of the judge."""

COLUMNS = ["item_id", "image", "rejected"]
"""What is read of an item."""


class Judge(Protocol):
    """Turns vectors of images into findings."""

    schema: pa.Schema

    def rows(self, item_ids: Sequence[str], images: Vectors) -> pa.RecordBatch:
        """Return the findings of unit rows (n, dim), of `schema`; all of an image's in a row."""


@dataclass(slots=True, kw_only=True)
class JudgeReport(Report):
    """Counts of a classification or moderation.

    Attributes:
        output: The file of the findings; None without one.
    """

    output: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the counts that both have, ready for JSON."""
        return {
            "source": self.dataset,
            "model": self.model,
            "items": self.items,
            "images": self.images,
            "rejected": self.rejected,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
            **self.outcome(),
            "output": None if self.output is None else str(self.output),
        }


def judge_images(
    source: Source,
    encoder: Encoder,
    judge: Judge,
    account: Callable[[pa.RecordBatch, Batch[Item]], None],
    *,
    output: str | os.PathLike[str] | Receiver | None,
    report: JudgeReport,
    rejects: str | os.PathLike[str] | None,
    options: RunOptions,
    interrupt: threading.Event | None,
    items_per_call: int | None = None,
) -> None:
    """Judge all images of a source.

    Args:
        source: Where the images come from.
        encoder: Makes their vectors.
        judge: Makes findings of vectors.
        account: Called with the findings of a batch; may still reject items of it.
        output: The file that findings are written to, or what is called with them.
        report: Counts, filled in.
        rejects: Where to write rejected items with their reasons.
        options: How to go through the source.
        interrupt: An event that ends the run in order once it is set.
        items_per_call: Items per call of `account` (default: as many as the encoder takes).
    """
    interrupt = interrupt or threading.Event()
    with ExitStack() as stack:
        rejected = stack.enter_context(closing(RejectsFile(rejects)))
        receive: Receiver | None = output if callable(output) else None
        if output is not None and not callable(output):
            file = stack.enter_context(FindingsFile(Path(output), judge.schema))
            receive, report.output = file.write, file.path

        def sink(batch: Batch[Item]) -> None:
            vectors = {
                item.item_id: item.image.embedding
                for item in batch.items
                if item.image is not None and item.image.embedding is not None
            }
            if not vectors:
                return
            findings = judge.rows(list(vectors), np.stack(list(vectors.values())))
            if receive is not None:
                receive(findings)
            account(findings, batch)

        run(
            source,
            [
                _accept_images,
                *encoding_stages(
                    encoder,
                    decoding=decoding_of(source),
                    document={},
                    batch_size=options.batch_size,
                    interrupt=interrupt,
                ),
                *([] if items_per_call is None else [partial(regroup, size=items_per_call)]),
                count_new,
            ],
            sink,
            report=report,
            rejects=rejected,
            interrupt=interrupt,
            limit=options.limit,
            progress=options.progress,
        )


def add_counts(counts: dict[str, int], names: pa.Array) -> None:
    """Add the number of times that each name occurs."""
    for entry in pc.value_counts(names).to_pylist():
        counts[entry["values"]] += entry["counts"]


def _accept_images(batches: Iterator[pa.RecordBatch]) -> Iterator[Batch[Item]]:
    """Turn the record batches of a source into items that have nothing but their images."""
    for records in batches:
        batch: Batch[Item] = Batch(read=records.num_rows)
        for record in records.select(COLUMNS).to_pylist():
            item_id = record["item_id"]
            if record["rejected"] is not None or record["image"] is None:
                reason = record["rejected"] or "it has no image"
                batch.rejects.append(Reject(item_id, "read", reason))
                continue
            image = PendingRow("", record["image"], "")
            batch.items.append(Item(item_id, "", {}, "", "", image, []))
        yield batch
