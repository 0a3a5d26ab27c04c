"""From one query's fused ranking to the hits of a page: deduplicate, rerank, cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from mm_milvus.arrays import Vectors
from mm_milvus.choices import MAX_LIMIT, DedupMode
from mm_milvus.keys import image_key
from mm_milvus.schema import Field, Modality
from mm_milvus.search.candidates import CompletionBound, rescore
from mm_milvus.search.dedup import equal_leaders, near_leaders
from mm_milvus.search.details import Details, Wanted, read_details
from mm_milvus.search.fused import FusedRanking, Place, Step
from mm_milvus.search.fusion import SCORE_DECIMALS, fuse_scores, fusion_mode, rank_order
from mm_milvus.search.hits import ExplainedPlace, Explanation, Hit, ListScore, Timings
from mm_milvus.search.lists import KnownRows
from mm_milvus.search.options import SearchOptions
from mm_milvus.search.query import Query
from mm_milvus.search.rerank import RerankContext, stage_name
from mm_milvus.search.space import Space

RERANK_BLOCK = 50
"""Rerank stages are given this many hits at a time: the first fifty, the next fifty."""


class Ranking:
    """The ranking of one query, and the page of it that the options ask for."""

    def __init__(
        self,
        query: Query,
        spaces: Sequence[Space],
        vectors: Sequence[Vectors],
        options: SearchOptions,
        pool: ThreadPoolExecutor,
    ) -> None:
        """Rank for a query, whose vector for each list is float32 (1, dim)."""
        self._query = query
        self._spaces = spaces
        self._vectors = vectors
        self._options = options
        self._pool = pool
        self._weights = list_weights(options, len(spaces))
        leaders = None if options.dedup == "item" else self._leaders
        # The items of `like` are found, but not returned.
        self.fused = FusedRanking(options.fusion, self._weights, set(query.like), leaders)
        first, end = options.offset, options.offset + options.top_k
        if options.rerank:
            first -= first % RERANK_BLOCK
            end += -end % RERANK_BLOCK
        self._first, self._end = first, end

    @property
    def is_read(self) -> bool:
        """Whether the ranking is long enough for the page, or has ended."""
        return self.fused.ended or len(self.fused.places) >= self._end

    @property
    def continues(self) -> bool:
        """Whether there may be hits after the page."""
        end = self._options.offset + self._options.top_k
        return len(self.fused.places) > end or not (self.fused.ended or end >= MAX_LIMIT)

    def bound(self, hits: int) -> CompletionBound | None:
        """Return which candidates matter for a number of hits.

        None where others than the best may become hits.
        """
        options = self._options
        if options.dedup != "item" or not fusion_mode(options.fusion).local:
            return None
        return CompletionBound(
            hits + len(self._query.like),
            lambda scores, background: fuse_scores(
                scores, options.fusion, weights=self._weights, background=background
            ),
        )

    @property
    def wanted(self) -> list[Wanted]:
        """What must be read to show the page, and to rerank it."""
        return [(place.item_id, place.caption) for place in self._places]

    def hits(self, details: Mapping[Wanted, Details], timings: Timings) -> list[Hit]:
        """Return the hits of the page, best first.

        Args:
            details: What is stored of `wanted`; an item that is missing was deleted meanwhile.
            timings: Receives the durations of the rerank stages.
        """
        options = self._options
        size = RERANK_BLOCK if options.rerank else max(1, len(self._places))
        page = []
        for first in range(self._first, self._end, size):
            block = [
                _hit(place, details[wanted])
                for place in self.fused.places[first : min(first + size, self._end)]
                if (wanted := (place.item_id, place.caption)) in details
            ]
            for stage in options.rerank:
                with timings.time(f"rerank {stage_name(stage)}"):
                    block = stage(block, self._context)
            # Where a stage leaves hits out, the page is shorter: the others stay on their pages.
            page += block[max(0, options.offset - first) : options.offset + options.top_k - first]
        return [hit for hit in page if options.min_score is None or hit.score >= options.min_score]

    def explain(self, hits: list[Hit], timings: Timings) -> Explanation:
        """Return the hits with their places in all lists."""
        by_item = {place.item_id: place for place in self._places}
        names = list_names(self._spaces)
        return Explanation(
            hits=hits,
            fusion=self._options.fusion,
            places=[_explained(by_item[hit.item_id], names) for hit in hits],
            candidates=self.fused.candidates,
            stages=dict(timings),
        )

    @property
    def _context(self) -> RerankContext:
        return RerankContext(self._query, self._image_vectors, self._rescored)

    @property
    def _places(self) -> list[Place]:
        return self.fused.places[self._first : self._end]

    def _leaders(self, item_ids: Sequence[str]) -> list[int]:
        mode: DedupMode = self._options.dedup
        if mode == "near":
            return near_leaders(self._vectors_of(item_ids))
        keys = [image_key(item_id) for item_id in item_ids]
        hashes = self._spaces[0].dataset.images.hashes(keys)
        # An item without an image equals no other: its key stands for its content.
        return equal_leaders([hashes.get(key, (key, ""))[0] for key in keys])

    def _vectors_of(self, item_ids: Iterable[str]) -> Vectors:
        return self._spaces[0].image_vectors(list(item_ids))

    def _image_vectors(self, hits: Sequence[Hit]) -> Vectors:
        return self._vectors_of(hit.item_id for hit in hits)

    def _rescored(self, hits: Sequence[Hit]) -> list[Hit]:
        """Return the hits with the scores of their stored vectors, best first."""
        if not hits:
            return []
        lists = [scored_list for space in self._spaces for scored_list in space.lists]
        before = {hit.item_id: hit for hit in hits}
        background = self.fused.places[0].step.candidates.background
        known: KnownRows = {
            image_key(hit.item_id): {Field.URI: hit.uri, Field.METADATA: hit.metadata}
            for hit in hits
        }
        candidates = rescore(list(before), lists, self._vectors, background, known, self._pool)
        step = self.fused.step(candidates)
        order = rank_order(step.fused, candidates.scores, candidates.item_ids)
        places = [Place(candidates.item_ids[n], float(step.fused[n]), step, int(n)) for n in order]
        wanted = [(place.item_id, place.caption) for place in places]
        details = read_details(self._spaces[0].dataset, wanted, known, self._pool)
        return [
            replace(_hit(place, details[each]), duplicates=before[place.item_id].duplicates)
            for place, each in zip(places, wanted, strict=True)
            if each in details
        ]


def list_names(spaces: Sequence[Space]) -> list[str]:
    """Return the names of the lists: `image` and `text`; of several encoders `clip/image`."""
    return [
        f"{space.name}/{modality.value}" if len(spaces) > 1 else modality.value
        for space in spaces
        for modality in Modality
    ]


def list_weights(options: SearchOptions, spaces: int) -> list[float] | None:
    """Return the weight of each list of a number of spaces; None where all are equal."""
    weights = options.fusion_weights
    if weights is None:
        return None
    return [weights.get(modality.value, 1.0) for modality in Modality] * spaces


def _hit(place: Place, details: Details) -> Hit:
    return Hit(
        item_id=place.item_id,
        uri=details.uri,
        score=place.score,
        caption=details.caption,
        metadata=details.metadata,
        image=_list_score(place.step, 0, place.column),
        text=_list_score(place.step, 1, place.column),
        duplicates=place.duplicates,
    )


def _explained(place: Place, names: Sequence[str]) -> dict[str, ExplainedPlace]:
    step, column = place.step, place.column
    return {
        name: ExplainedPlace(score.score, score.rank, float(step.terms[row, column]))
        for row, name in enumerate(names)
        if (score := _list_score(step, row, column)) is not None
    }


def _list_score(step: Step, row: int, column: int) -> ListScore | None:
    score = float(step.candidates.scores[row, column])
    if np.isnan(score):
        return None
    return ListScore(round(score, SCORE_DECIMALS), int(step.ranks[row, column]))
