"""SearchClient: keep it for many searches, share it between threads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Self, Unpack

import numpy as np
from numpy.typing import NDArray

from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.encoders.base import Encoder
from mm_milvus.filters.condition import Condition, parse_condition, render
from mm_milvus.search.candidates import Candidates, CompletionBound, find_candidates
from mm_milvus.search.fusion import fuse_scores, fusion_mode
from mm_milvus.search.hits import Explanation, Hit
from mm_milvus.search.options import SearchOptions, checked
from mm_milvus.search.query import ImageQuery, Query
from mm_milvus.search.ranking import Ranking, list_weights
from mm_milvus.search.space import Space
from mm_milvus.search.timing import Timings
from mm_milvus.store.collection import MAX_LIMIT
from mm_milvus.store.connection import StoreLike, opened
from mm_milvus.store.dataset import open_indexes
from mm_milvus.store.deprecated import open_by_old_keywords

CANDIDATES_PER_HIT = 3
MIN_CANDIDATES = 30
"""Several captions of one item, and items of one list only, take places from others: each list
is read deeper than the answer is long. On emoji and clothing nDCG@10 was the same to three
decimals from 30 on (docs/measured/fusion.md)."""

QUERIES_A_CALL = 64
"""A call of the engine with many queries costs less than many calls, up to its answer's size."""


class SearchClient:
    """Searches one data set; safe to share between threads; close it, or use it in `with`.

    store     a Milvus Lite `.db` file, `http(s)://host:port`, or an open `Store`
    dataset   its name; None: the only one there is
    encoder   None: the one that the data set was built with is loaded at the first search
    encoders  of a data set that has several: the names of those to search with, all lists fused;
              none: the one that it was built with first

    Raises `StoreError` when the store cannot be reached or holds vectors of another encoder,
    `QueryError` for an unknown data set or encoder, `EncoderError` when the encoder cannot be had.
    """

    def __init__(
        self,
        store: StoreLike = DEFAULT_STORE,
        dataset: str | None = None,
        *,
        encoder: Encoder | None = None,
        encoders: Sequence[str] = (),
        **old_keywords: str | None,
    ) -> None:
        """Connect, and open the dataset."""
        with ExitStack() as stack:
            if old_keywords:
                connected = stack.enter_context(open_by_old_keywords(store, **old_keywords))
            else:
                connected = stack.enter_context(opened(store, must_exist=True))
            indexes = open_indexes(connected, dataset, encoders)
            self._spaces = [Space(index, encoder) for index in indexes]
            self._resources = stack.pop_all()
        self._pool = ThreadPoolExecutor(thread_name_prefix="mm-milvus-search")

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self._spaces[0].dataset.name

    @property
    def model(self) -> str:
        """The encoder that it searches with, the first of several."""
        return self.models[0]

    @property
    def models(self) -> list[str]:
        """The encoders that it searches with."""
        return [space.dataset.manifest.encoder for space in self._spaces]

    @property
    def encoder(self) -> Encoder:
        """What turns questions into vectors, the first of several."""
        return self._spaces[0].encoder

    def search(
        self,
        text: str | Iterable[str] | None = None,
        image: ImageQuery | Sequence[ImageQuery] | None = None,
        *,
        like: str | Iterable[str] = (),
        minus: str | Iterable[str] = (),
        weights: Sequence[float] = (),
        **options: Unpack[SearchOptions],
    ) -> list[Hit]:
        """The best items for what is asked, best first.

        text, image, like, minus, weights  the parts of a `Query`, one or several of each kind
        options                            see `SearchOptions`

        Raises `QueryError` for a question that cannot be asked.
        """
        query = Query.of(text, image, like=like, minus=minus, weights=weights)
        [hits] = self.search_many([query], **options)
        return hits

    def search_many(
        self, queries: Iterable[Query | str], **options: Unpack[SearchOptions]
    ) -> list[list[Hit]]:
        """For each query its hits, with one call of the engine for many of them."""
        asked = [query if isinstance(query, Query) else Query.of(query) for query in queries]
        full = checked(options)
        hits = []
        for start in range(0, len(asked), QUERIES_A_CALL):
            stages = Timings()
            for ranking, candidates in self._candidates(
                asked[start : start + QUERIES_A_CALL], full, stages
            ):
                hits.append(ranking.hits(candidates, stages))
        return hits

    def explain(self, query: Query | str, **options: Unpack[SearchOptions]) -> Explanation:
        """The hits of a search, and how they came to be."""
        stages = Timings()
        asked = query if isinstance(query, Query) else Query.of(query)
        [(ranking, candidates)] = self._candidates([asked], checked(options), stages)
        return ranking.explained(ranking.hits(candidates, stages), candidates, stages)

    def close(self) -> None:
        """Let go of the store."""
        self._pool.shutdown()
        self._resources.close()

    def __enter__(self) -> Self:
        """Enter a block that ends with `close`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _candidates(
        self, queries: Sequence[Query], options: SearchOptions, stages: Timings
    ) -> list[tuple[Ranking, Candidates]]:
        expression = self._expression(options["where"], options["filter"])
        with stages.time("encode"):
            spaces = [
                np.stack([space.encode(query) for query in queries]) for space in self._spaces
            ]
        lists = [one for space in self._spaces for one in space.lists]
        vectors: list[NDArray[np.float32]] = [
            asked for space, asked in zip(self._spaces, spaces, strict=True) for _ in space.lists
        ]
        liked = max(len(query.like) for query in queries)
        wanted = options["offset"] + options["top_k"] + liked
        found = find_candidates(
            lists,
            vectors,
            min(MAX_LIMIT, max(MIN_CANDIDATES, CANDIDATES_PER_HIT * wanted)),
            expression,
            background=options["fusion"] == "pnorm",
            contest=self._contest(options, wanted),
            pool=self._pool,
            stages=stages,
        )
        return [
            (
                Ranking(query, self._spaces, [asked[n] for asked in spaces], options, self._pool),
                candidates,
            )
            for n, (query, candidates) in enumerate(zip(queries, found, strict=True))
        ]

    def _contest(self, options: SearchOptions, wanted: int) -> CompletionBound | None:
        """Which candidates matter; None, where others than the first may become hits."""
        later = options["dedup"] != "item" or options["rerank"]
        if later or not fusion_mode(options["fusion"]).local:
            return None
        weights = list_weights(options, len(self._spaces))
        return CompletionBound(
            wanted,
            lambda scores, known: fuse_scores(
                scores, options["fusion"], weights=weights, background=known
            ),
        )

    def _expression(self, where: Sequence[Condition | str], expression: str) -> str:
        conditions = [parse_condition(each) if isinstance(each, str) else each for each in where]
        typed = render(conditions, self._spaces[0].dataset.manifest.columns)
        return " and ".join(f"({part})" for part in (typed, expression.strip()) if part)
