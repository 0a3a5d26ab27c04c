"""How to evaluate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mm_milvus.errors import QueryError
from mm_milvus.search.fusion import FUSION_MODES, fusion_mode

DEFAULT_CUTS = (1, 5, 10)
DEFAULT_DEPTH = 100
DEFAULT_SAMPLE = 10_000


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """How to evaluate.

    encoders  of a data set that has several: the names of those to evaluate; none: all
    queries   a file of JSON lines; needs qrels
    qrels     judgements in TREC's format; without queries, their query_ids are item_ids, whose
              images search the images
    by        the metadata key whose equal values make images relevant to each other
    fusions   the modes that queries are answered with
    cuts      the k of recall@k and its like
    depth     how many documents of a ranking are looked at
    sample    of more queries than this, so many are drawn
    seed      of the sample and of the intervals
    progress  draw a bar on stderr, when that is a terminal
    """

    encoders: tuple[str, ...] = ()
    queries: Path | None = None
    qrels: Path | None = None
    by: str | None = None
    fusions: tuple[str, ...] = tuple(FUSION_MODES)
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
        for fusion in self.fusions:
            fusion_mode(fusion)
