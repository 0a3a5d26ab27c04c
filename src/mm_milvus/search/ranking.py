"""One query's candidates to its hits: fuse, merge duplicates, rerank, cut."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mm_milvus.keys import image_key
from mm_milvus.schema import Modality
from mm_milvus.search.candidates import Candidates, rescore
from mm_milvus.search.dedup import merge_equal, merge_near
from mm_milvus.search.fusion import SCORE_DECIMALS, fuse_scores, rank_order, ranks, weighted_terms
from mm_milvus.search.hits import ExplainedPlace, Explanation, Hit, ListScore
from mm_milvus.search.options import SearchOptions
from mm_milvus.search.query import Query
from mm_milvus.search.rerank import RerankContext, stage_name
from mm_milvus.search.space import Space
from mm_milvus.search.timing import Timings

RERANK_DEPTH = 50
"""At least so many of the best hits are ranked anew."""


class Ranking:
    """From the candidates of one query to its hits."""

    def __init__(
        self,
        query: Query,
        spaces: Sequence[Space],
        vectors: Sequence[NDArray[np.float32]],
        options: SearchOptions,
        pool: ThreadPoolExecutor,
    ) -> None:
        """Take note of the question; vectors are the query's in each space, (dim,)."""
        self._query = query
        self._spaces = spaces
        self._vectors = vectors
        self._options = options
        self._pool = pool
        self._weights = list_weights(options, len(spaces))

    def hits(self, candidates: Candidates, stages: Timings) -> list[Hit]:
        """The hits that were asked for, best first."""
        options = self._options
        with stages.time("fuse"):
            hits = self._fused(candidates)
        with stages.time("dedup"):
            hits = self._merged(hits)
        last = options["offset"] + options["top_k"]
        if options["rerank"]:
            hits = hits[: max(RERANK_DEPTH, last)]
            question = RerankContext(
                self._query, self._image_vectors, partial(self._rescored, candidates)
            )
            for stage in options["rerank"]:
                with stages.time(f"rerank {stage_name(stage)}"):
                    hits = stage(hits, question)
        least = options["min_score"]
        if least is not None:
            hits = [hit for hit in hits if hit.score >= least]
        return hits[options["offset"] : last]

    def explained(self, hits: list[Hit], candidates: Candidates, stages: Timings) -> Explanation:
        """The hits with their places in all lists."""
        places = ranks(candidates.scores)
        terms = weighted_terms(
            candidates.scores, self._options["fusion"], self._weights, candidates.background
        )
        column = {item_id: n for n, item_id in enumerate(candidates.item_ids)}
        return Explanation(
            hits=hits,
            fusion=self._options["fusion"],
            places=[
                {
                    name: ExplainedPlace(
                        round(float(candidates.scores[row, column[hit.item_id]]), SCORE_DECIMALS),
                        int(places[row, column[hit.item_id]]),
                        float(terms[row, column[hit.item_id]]),
                    )
                    for row, name in enumerate(list_names(self._spaces))
                    if not np.isnan(candidates.scores[row, column[hit.item_id]])
                }
                for hit in hits
            ],
            candidates=len(candidates.rows),
            stages=dict(stages),
        )

    def _fused(self, candidates: Candidates) -> list[Hit]:
        scores = candidates.scores
        if not len(candidates.rows):
            return []
        fused = fuse_scores(
            scores,
            self._options["fusion"],
            weights=self._weights,
            background=candidates.background,
        )
        places = ranks(scores)
        liked = set(self._query.like)
        return [
            Hit(
                item_id=row.item_id,
                uri=row.uri,
                score=float(fused[n]),
                caption=candidates.captions[n],
                metadata=row.metadata,
                image=_place(scores[0, n], places[0, n]),
                text=_place(scores[1, n], places[1, n]),
            )
            for n in rank_order(fused, scores, candidates.item_ids)
            if (row := candidates.rows[n]).item_id not in liked
        ]

    def _merged(self, hits: list[Hit]) -> list[Hit]:
        if not hits or self._options["dedup"] == "item":
            return hits
        if self._options["dedup"] == "near":
            return merge_near(hits, self._image_vectors(hits))
        keys = [image_key(hit.item_id) for hit in hits]
        hashes = self._spaces[0].dataset.images.hashes(keys)
        # An item that was deleted meanwhile is like no other.
        return merge_equal(hits, [hashes.get(key, (key, ""))[0] for key in keys])

    def _image_vectors(self, hits: Sequence[Hit]) -> NDArray[np.float32]:
        return self._spaces[0].image_vectors([hit.item_id for hit in hits])

    def _rescored(self, candidates: Candidates, hits: Sequence[Hit]) -> list[Hit]:
        lists = [one for space in self._spaces for one in space.lists]
        vectors = [vector[None] for vector in self._vectors for _ in Modality]
        wanted = {hit.item_id for hit in hits}
        return self._fused(rescore(candidates, wanted, lists, vectors, self._pool))


def list_names(spaces: Sequence[Space]) -> list[str]:
    """What the lists are called: `image` and `text`, of several encoders `clip/image`."""
    return [
        f"{space.name}/{modality.value}" if len(spaces) > 1 else modality.value
        for space in spaces
        for modality in Modality
    ]


def list_weights(options: SearchOptions, spaces: int) -> list[float] | None:
    """The weight of each list, of so many spaces; None for all alike."""
    given = options["fusion_weights"]
    if given is None:
        return None
    return [given.get(modality.value, 1.0) for modality in Modality] * spaces


def _place(score: float, rank: int) -> ListScore | None:
    return None if np.isnan(score) else ListScore(round(float(score), SCORE_DECIMALS), int(rank))
