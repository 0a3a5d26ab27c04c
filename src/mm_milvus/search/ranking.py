"""From one query's candidates to its hits: fuse, merge duplicates, rerank, cut to the page."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from mm_milvus.arrays import Vectors
from mm_milvus.keys import image_key
from mm_milvus.schema import Modality
from mm_milvus.search.candidates import Candidates, rescore
from mm_milvus.search.dedup import merge_equal, merge_near
from mm_milvus.search.fusion import SCORE_DECIMALS, fuse_scores, rank_order, ranks, weighted_terms
from mm_milvus.search.hits import ExplainedPlace, Explanation, Hit, ListScore, Timings
from mm_milvus.search.options import SearchOptions
from mm_milvus.search.query import Query
from mm_milvus.search.rerank import RerankContext, stage_name
from mm_milvus.search.space import Space

RERANK_DEPTH = 50
"""Minimum number of best hits that rerank stages are given."""


class Ranking:
    """Turns the candidates of one query into its hits."""

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

    def hits(self, candidates: Candidates, timings: Timings) -> list[Hit]:
        """Return the hits of the requested page, best first."""
        options = self._options
        with timings.time("fuse"):
            hits = self._fuse(candidates)
        with timings.time("dedup"):
            hits = self._merge_duplicates(hits)
        end = options.offset + options.top_k
        if options.rerank:
            hits = hits[: max(RERANK_DEPTH, end)]
            context = RerankContext(
                self._query, self._image_vectors, partial(self._rescore, candidates)
            )
            for stage in options.rerank:
                with timings.time(f"rerank {stage_name(stage)}"):
                    hits = stage(hits, context)
        if options.min_score is not None:
            hits = [hit for hit in hits if hit.score >= options.min_score]
        return hits[options.offset : end]

    def explain(self, hits: list[Hit], candidates: Candidates, timings: Timings) -> Explanation:
        """Return the hits with their places in all lists."""
        list_ranks = ranks(candidates.scores)
        terms = weighted_terms(
            candidates.scores, self._options.fusion, self._weights, candidates.background
        )
        columns = {item_id: n for n, item_id in enumerate(candidates.item_ids)}
        return Explanation(
            hits=hits,
            fusion=self._options.fusion,
            places=[
                {
                    name: ExplainedPlace(
                        round(float(candidates.scores[row, column]), SCORE_DECIMALS),
                        int(list_ranks[row, column]),
                        float(terms[row, column]),
                    )
                    for row, name in enumerate(list_names(self._spaces))
                    if not np.isnan(candidates.scores[row, column])
                }
                for column in (columns[hit.item_id] for hit in hits)
            ],
            candidates=len(candidates.rows),
            stages=dict(timings),
        )

    def _fuse(self, candidates: Candidates) -> list[Hit]:
        scores = candidates.scores
        if not len(candidates.rows):
            return []
        fused = fuse_scores(
            scores,
            self._options.fusion,
            weights=self._weights,
            background=candidates.background,
        )
        list_ranks = ranks(scores)
        query_items = set(self._query.like)
        return [
            Hit(
                item_id=row.item_id,
                uri=row.uri,
                score=float(fused[n]),
                caption=candidates.captions[n],
                metadata=row.metadata,
                image=_list_score(scores[0, n], list_ranks[0, n]),
                text=_list_score(scores[1, n], list_ranks[1, n]),
            )
            for n in rank_order(fused, scores, candidates.item_ids)
            if (row := candidates.rows[n]).item_id not in query_items
        ]

    def _merge_duplicates(self, hits: list[Hit]) -> list[Hit]:
        if not hits or self._options.dedup == "item":
            return hits
        if self._options.dedup == "near":
            return merge_near(hits, self._image_vectors(hits))
        keys = [image_key(hit.item_id) for hit in hits]
        hashes = self._spaces[0].dataset.images.hashes(keys)
        # An item that was deleted meanwhile equals no other: its key stands for its content.
        return merge_equal(hits, [hashes.get(key, (key, ""))[0] for key in keys])

    def _image_vectors(self, hits: Sequence[Hit]) -> Vectors:
        return self._spaces[0].image_vectors([hit.item_id for hit in hits])

    def _rescore(self, candidates: Candidates, hits: Sequence[Hit]) -> list[Hit]:
        lists = [scored_list for space in self._spaces for scored_list in space.lists]
        item_ids = {hit.item_id for hit in hits}
        return self._fuse(rescore(candidates, item_ids, lists, self._vectors, self._pool))


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


def _list_score(score: float, rank: int) -> ListScore | None:
    return None if np.isnan(score) else ListScore(round(float(score), SCORE_DECIMALS), int(rank))
