"""Options of a search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict, cast, get_args

from mm_milvus.choices import MAX_LIMIT, DedupMode, FusionName
from mm_milvus.errors import OptionError, QueryError
from mm_milvus.search.inputs import number, several, shown, text, whole_number

if TYPE_CHECKING:
    from mm_milvus.filters.condition import Filter
    from mm_milvus.search.rerank import Rerank


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How to search: page, filters, fusion, deduplication and reranking.

    A single condition or stage, or any iterable of them, may take the place of a sequence; None
    that of an empty value.

    Attributes:
        top_k: Number of hits, 1 to 16,384.
        offset: Skip the first N hits: page n begins at n * `top_k`. Together with `top_k` at most
            16,384; to this depth all pages are parts of one ranking.
        min_score: Leave out hits with a lower score (default: none). Its scale is that of the
            fusion mode, or of the last rerank stage.
        where: Conditions on the metadata, all of which must hold: `"price<50"`, `"color=red or
            color=blue"`, a `Condition`, or a `Group` of them.
        filter: A raw Milvus boolean expression that must hold as well. It cannot reach beyond
            `where`: its brackets and quotes must be closed in it.
        caption_has: A text that one of the item's captions must contain; case matters. At most
            16,384 items may have it.
        fusion: How the scores of several lists become one: pnorm, max, weighted, rrf, zscore or
            dbsf.
        fusion_weights: Weight of each list, 0 or more: `{"image": 0.3, "text": 0.7}` (default: 1
            each). Only their ratio matters.
        dedup: Which hits are merged into the best of them: item (one hit per item, always so),
            content (one per image file) or near (one per group of images with a cosine above
            0.97).
        rerank: Stages that run one after the other, over the first 50 hits, then over the next 50:
            callables, or texts such as "mmr:0.7"; see `mm_milvus.search.rerank`.
    """

    top_k: int = 10
    offset: int = 0
    min_score: float | None = None
    where: Sequence[Filter | str] = ()
    filter: str = ""
    caption_has: str = ""
    fusion: FusionName = "pnorm"
    fusion_weights: Mapping[str, float] | None = None
    dedup: DedupMode = "item"
    rerank: Sequence[Rerank] = ()

    def __post_init__(self) -> None:
        """Bring the values into the form of the attributes, and check them.

        Raises:
            OptionError: For a value that cannot be used.
            QueryError: For a filter that cannot be one.
        """
        normal = {
            "top_k": whole_number("top_k", self.top_k),
            "offset": whole_number("offset", self.offset),
            "min_score": None if self.min_score is None else number("min_score", self.min_score),
            "where": tuple(_condition(part) for part in several(self.where)),
            "filter": text("filter", self.filter),
            "caption_has": text("caption_has", self.caption_has),
            "fusion_weights": _weights(self.fusion_weights),
            "rerank": tuple(_stage(stage) for stage in several(self.rerank)),
        }
        for name, value in normal.items():
            object.__setattr__(self, name, value)
        if not 1 <= self.top_k <= MAX_LIMIT:
            raise OptionError(f"top_k is {self.top_k}, and must be 1 to {MAX_LIMIT:,}")
        if not 0 <= self.offset <= MAX_LIMIT - self.top_k:
            raise OptionError(
                f"offset is {self.offset}, and must be 0 to {MAX_LIMIT - self.top_k:,}: "
                f"Milvus reads {MAX_LIMIT:,} rows deep, the hits themselves included"
            )
        if self.min_score is not None and math.isnan(self.min_score):
            raise OptionError("min_score is not a number")
        check_fusion(self.fusion)
        if not isinstance(self.dedup, str) or self.dedup not in get_args(DedupMode):
            modes = ", ".join(get_args(DedupMode))
            raise OptionError(f"unknown dedup {self.dedup!r}: the modes are {modes}")


class SearchChanges(TypedDict, total=False):
    """Fields of `SearchOptions` as keyword arguments of a search."""

    top_k: int
    offset: int
    min_score: float | None
    where: Sequence[Filter | str]
    filter: str
    caption_has: str
    fusion: FusionName
    fusion_weights: Mapping[str, float] | None
    dedup: DedupMode
    rerank: Sequence[Rerank | str]


def with_changes(options: SearchOptions | None, changes: SearchChanges) -> SearchOptions:
    """Return the options (default: all defaults) with some fields replaced.

    Raises:
        OptionError: When a value cannot be used.
        TypeError: For a keyword that is not a field.
    """
    if options is not None and not isinstance(options, SearchOptions):
        raise OptionError(f"the options are given as {type(options).__name__}; give SearchOptions")
    return replace(options or SearchOptions(), **cast("dict[str, Any]", changes))


def check_fusion(name: str) -> None:
    """Raise OptionError for a name that is not one of `FusionName`."""
    if not isinstance(name, str) or name not in get_args(FusionName):
        modes = ", ".join(get_args(FusionName))
        raise OptionError(f"unknown fusion {name!r}: the modes are {modes}")


def _condition(part: object) -> Filter | str:
    if isinstance(part, str):
        return text("where", part)
    from mm_milvus.filters.condition import Condition, Group

    if not isinstance(part, Condition | Group):
        raise QueryError(
            f"a condition (`where`) is given as {type(part).__name__}; give a text such as "
            '"price<50", or a Condition'
        )
    return part


def _weights(weights: object) -> dict[str, float] | None:
    if weights is None:
        return None
    if not isinstance(weights, Mapping):
        raise OptionError(
            f"the weights of the lists (`fusion_weights`) are given as {type(weights).__name__}; "
            'give a dict such as {"image": 0.3, "text": 0.7}'
        )
    if unknown := [name for name in weights if name not in ("image", "text")]:
        raise OptionError(f"no list {shown(unknown[0])} to weigh: there are image and text")
    return {name: number(f"the weight of {name}", weight) for name, weight in weights.items()}


def _stage(stage: object) -> Rerank:
    if isinstance(stage, str):
        from mm_milvus.search.rerank import parse_rerank

        return parse_rerank(stage)
    if not callable(stage):
        raise OptionError(
            f"a stage (`rerank`) is given as {type(stage).__name__}; give a callable, or a text "
            'such as "mmr:0.7"'
        )
    return cast("Rerank", stage)
