"""What may be asked of a search beside the query itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypedDict

from mm_milvus.errors import QueryError
from mm_milvus.filters.condition import Condition
from mm_milvus.search.dedup import DEDUP_MODES
from mm_milvus.search.fusion import DEFAULT_FUSION, fusion_mode
from mm_milvus.search.rerank import Rerank
from mm_milvus.store.collection import MAX_LIMIT


class SearchOptions(TypedDict, total=False):
    """The keyword arguments of every kind of search.

    top_k           how many hits; 10
    offset          how many of the best to pass over: the next page starts at top_k
    min_score       leave out hits with a lower score; its scale is that of the fusion mode
    where           conditions on the metadata, all of which must hold: `"price<50"`, `Condition`
    filter          a raw Milvus boolean expression, as well
    fusion          one of `FUSION_MODES`
    fusion_weights  of the lists: `{"image": 0.3, "text": 0.7}`; all alike
    dedup           one of `DEDUP_MODES`: "item"
    rerank          stages that run one after the other over the best hits: see `search.rerank`
    """

    top_k: int
    offset: int
    min_score: float | None
    where: Sequence[Condition | str]
    filter: str
    fusion: str
    fusion_weights: Mapping[str, float] | None
    dedup: str
    rerank: Sequence[Rerank]


DEFAULTS: SearchOptions = {
    "top_k": 10,
    "offset": 0,
    "min_score": None,
    "where": (),
    "filter": "",
    "fusion": DEFAULT_FUSION,
    "fusion_weights": None,
    "dedup": "item",
    "rerank": (),
}


def checked(options: SearchOptions) -> SearchOptions:
    """All options, those that were not given at their default; `QueryError` for senseless ones."""
    if unknown := options.keys() - DEFAULTS.keys():
        raise TypeError(f"unexpected keyword argument {min(unknown)!r}")
    full: SearchOptions = {**DEFAULTS, **options}
    top_k, offset = full["top_k"], full["offset"]
    if not 1 <= top_k <= MAX_LIMIT:
        raise QueryError(f"top_k is {top_k}, and must be 1 to {MAX_LIMIT:,}")
    if not 0 <= offset <= MAX_LIMIT - top_k:
        raise QueryError(
            f"offset is {offset}, and must be 0 to {MAX_LIMIT - top_k:,}: "
            f"Milvus reads {MAX_LIMIT:,} rows deep, the hits themselves included"
        )
    if full["min_score"] is not None and math.isnan(full["min_score"]):
        raise QueryError("min_score is not a number")
    fusion_mode(full["fusion"])
    if full["dedup"] not in DEDUP_MODES:
        raise QueryError(f"unknown dedup {full['dedup']!r}: the modes are {', '.join(DEDUP_MODES)}")
    if unknown := (full["fusion_weights"] or {}).keys() - {"image", "text"}:
        raise QueryError(f"no list {min(unknown)!r} to weigh: there are image and text")
    return full
