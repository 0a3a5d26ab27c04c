"""SearchClient: one open dataset for many searches, shared between threads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Self, Unpack

import numpy as np

from mm_milvus.arrays import Vectors
from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.encoders.base import Encoder
from mm_milvus.images.load import ImageLike
from mm_milvus.search.candidates import (
    QUERIES_PER_CALL,
    Candidates,
    CompletionBound,
    candidates_per_list,
    find_candidates,
    search_lists,
)
from mm_milvus.search.fusion import fuse_scores, fusion_mode
from mm_milvus.search.hits import Explanation, Hit, Timings
from mm_milvus.search.options import SearchChanges, SearchOptions, with_changes
from mm_milvus.search.query import Query
from mm_milvus.search.ranking import Ranking, list_weights
from mm_milvus.search.space import Space
from mm_milvus.search.where import Where
from mm_milvus.store.connection import StoreLike, opened
from mm_milvus.store.dataset import open_indexes
from mm_milvus.store.deprecated import OldKeywords, open_by_old_keywords, warn_of_old_keywords


class SearchClient:
    """Searches one dataset. Safe to share between threads; close it, or use it in `with`.

    with SearchClient("./mm_milvus.db", "photos") as client:
        hits = client.search("red dress", top_k=5, where=["price<50"])
    """

    def __init__(
        self,
        store: StoreLike = DEFAULT_STORE,
        dataset: str | None = None,
        *,
        encoder: Encoder | None = None,
        encoders: Sequence[str] = (),
        **old_keywords: Unpack[OldKeywords],
    ) -> None:
        """Connect to the store, and open the dataset.

        Args:
            store: A Milvus Lite `.db` file, `http(s)://host:port`, or an open `Store`, which stays
                open when the client is closed.
            dataset: Name of the dataset (default: the only one in the store).
            encoder: Encoder of queries (default: the one that the dataset was built with, loaded at
                the first search).
            encoders: For a dataset indexed with several encoders, the names of those to search
                with; all their lists are fused (default: the one it was built with first).
            **old_keywords: `uri`, `token` and `db_name` of version 0.1, deprecated: `store`
                replaces them.

        Raises:
            StoreError: When the store cannot be reached, or holds vectors of another encoder.
            QueryError: For an unknown dataset or encoder.
        """
        if old_keywords:
            warn_of_old_keywords("SearchClient", old_keywords, stacklevel=2)
        with ExitStack() as stack:
            connected = stack.enter_context(
                open_by_old_keywords(store, old_keywords)
                if old_keywords
                else opened(store, must_exist=True)
            )
            indexes = open_indexes(connected, dataset, encoders)
            self._spaces = [Space(index, encoder) for index in indexes]
            self._where = Where(*indexes)
            self._resources = stack.pop_all()
        self._pool = ThreadPoolExecutor(thread_name_prefix="mm-milvus-search")

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self._spaces[0].dataset.name

    @property
    def model(self) -> str:
        """Name of the encoder; of several, the first."""
        return self.models[0]

    @property
    def models(self) -> list[str]:
        """Names of the encoders that are searched with."""
        return [space.dataset.manifest.encoder for space in self._spaces]

    @property
    def encoder(self) -> Encoder:
        """The encoder of queries; of several, the first. Loaded when it is first needed."""
        return self._spaces[0].encoder

    def search(
        self,
        text: str | Iterable[str] | None = None,
        image: ImageLike | Sequence[ImageLike] | None = None,
        *,
        like: str | Iterable[str] = (),
        minus: str | Iterable[str] = (),
        weights: Sequence[float] = (),
        options: SearchOptions | None = None,
        **changes: Unpack[SearchChanges],
    ) -> list[Hit]:
        """Return the best items for a query, best first.

        Args:
            text: One or several texts to search for.
            image: One or several images to search for: paths, URLs, bytes, PIL images, or uint8
                pixels.
            like: One or several item_ids: find more like these.
            minus: One or several texts to avoid.
            weights: Weights of the parts, as in `Query`.
            options: How to search (default: all defaults).
            **changes: Fields of `SearchOptions` that replace those of `options`:
                `search("red dress", top_k=5)`.

        Raises:
            QueryError: When the query is malformed.
            OptionError: When an option has a value that cannot be used.
            EncoderError: When the encoder cannot be loaded.
            StoreError: When Milvus fails.
        """
        query = Query.of(text, image, like=like, minus=minus, weights=weights)
        [hits] = self.search_many([query], options=options, **changes)
        return hits

    def search_many(
        self,
        queries: Iterable[Query | str],
        *,
        options: SearchOptions | None = None,
        **changes: Unpack[SearchChanges],
    ) -> list[list[Hit]]:
        """Return the hits of each query; faster than one search per query.

        Args:
            queries: Queries, or texts.
            options: As in `search`.
            **changes: As in `search`.
        """
        parsed = [_as_query(query) for query in queries]
        merged = with_changes(options, changes)
        hits = []
        for start in range(0, len(parsed), QUERIES_PER_CALL):
            timings = Timings()
            for ranking, candidates in self._candidates(
                parsed[start : start + QUERIES_PER_CALL], merged, timings
            ):
                hits.append(ranking.hits(candidates, timings))
        return hits

    def explain(
        self,
        query: Query | str,
        *,
        options: SearchOptions | None = None,
        **changes: Unpack[SearchChanges],
    ) -> Explanation:
        """Return the hits of a search, with their scores in each list and the time of each stage.

        Args:
            query: A query, or a text.
            options: As in `search`.
            **changes: As in `search`.
        """
        timings = Timings()
        merged = with_changes(options, changes)
        [(ranking, candidates)] = self._candidates([_as_query(query)], merged, timings)
        return ranking.explain(ranking.hits(candidates, timings), candidates, timings)

    def close(self) -> None:
        """Close the client, and the store unless it was open already."""
        self._pool.shutdown()
        self._resources.close()

    def __enter__(self) -> Self:
        """Enter a block that ends with `close`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _candidates(
        self, queries: Sequence[Query], options: SearchOptions, timings: Timings
    ) -> list[tuple[Ranking, Candidates]]:
        expression = self._where.expression(options.where, options.filter, options.caption_has)
        with timings.time("encode"):
            by_space = [
                np.stack([space.encode(query) for query in queries]) for space in self._spaces
            ]
        lists = [scored_list for space in self._spaces for scored_list in space.lists]
        by_list: list[Vectors] = [
            vectors
            for space, vectors in zip(self._spaces, by_space, strict=True)
            for _ in space.lists
        ]
        # The items of `like` are found, but not returned.
        not_returned = max(len(query.like) for query in queries)
        hits = options.offset + options.top_k + not_returned
        with timings.time("search"):
            matches = search_lists(
                lists, by_list, candidates_per_list(hits), expression, self._pool
            )
        candidates = find_candidates(
            lists,
            by_list,
            matches,
            background=fusion_mode(options.fusion).needs_background,
            bound=self._bound(options, hits),
            pool=self._pool,
            timings=timings,
        )
        rankings = [
            Ranking(
                query,
                self._spaces,
                [vectors[n : n + 1] for vectors in by_list],
                options,
                self._pool,
            )
            for n, query in enumerate(queries)
        ]
        return list(zip(rankings, candidates, strict=True))

    def _bound(self, options: SearchOptions, hits: int) -> CompletionBound | None:
        """Return which candidates matter; None where others than the best may become hits."""
        any_may_rise = options.dedup != "item" or options.rerank
        if any_may_rise or not fusion_mode(options.fusion).local:
            return None
        weights = list_weights(options, len(self._spaces))
        return CompletionBound(
            hits,
            lambda scores, background: fuse_scores(
                scores, options.fusion, weights=weights, background=background
            ),
        )


def _as_query(query: Query | str) -> Query:
    return query if isinstance(query, Query) else Query.of(query)
