"""Options of `evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from mm_milvus.choices import FusionName, ProgressMode
from mm_milvus.errors import OptionError
from mm_milvus.search.options import check_fusion


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """How to evaluate a dataset.

    Attributes:
        encoders: For a dataset indexed with several encoders, the names of those to evaluate
            (default: all).
        queries: A file of JSON lines, `{"query_id": 1, "text": "a dog"}` or with an `"image"`
            instead; needs `qrels`.
        qrels: A file of relevance judgements in TREC's format, `query_id 0 item_id grade` per line.
            Without `queries`, its query_ids are item_ids, whose images search the images.
        by: Metadata key; images with equal values are relevant to each other.
        fusions: Fusion modes that answer `queries` (default: all).
        cuts: Cut-offs k of recall@k and similar metrics.
        depth: Length of each ranking; at least the largest cut-off.
        sample: Maximum number of queries per direction; of more, a random sample is taken.
        seed: Seed of the sample and of the confidence intervals.
        progress: How to show progress on stderr: `bar`; `log`, a line every 30 seconds; `none`;
            `auto`, a bar on a terminal or in a notebook, else `log`.
    """

    encoders: tuple[str, ...] = ()
    queries: Path | None = None
    qrels: Path | None = None
    by: str | None = None
    fusions: tuple[FusionName, ...] = get_args(FusionName)
    cuts: tuple[int, ...] = (1, 5, 10)
    depth: int = 100
    sample: int = 10_000
    seed: int = 0
    progress: ProgressMode | bool = "none"

    def __post_init__(self) -> None:
        """Check the values; raise OptionError."""
        if self.queries and not self.qrels:
            raise OptionError("queries need judgements: name their file (`qrels`)")
        if not self.cuts or min(self.cuts) < 1:
            raise OptionError("the k of a metric must be 1 or more")
        if self.depth < max(self.cuts):
            raise OptionError(
                f"the depth is {self.depth}, less than the largest k, {max(self.cuts)}"
            )
        if self.sample < 1:
            raise OptionError("the sample must be 1 query or more")
        for fusion in self.fusions:
            check_fusion(fusion)
