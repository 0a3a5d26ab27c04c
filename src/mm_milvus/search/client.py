"""SearchClient: one open dataset for many searches, shared between threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar, Unpack

import numpy as np

from mm_milvus.arrays import Vectors
from mm_milvus.choices import DEFAULT_STORE, ProgressMode
from mm_milvus.encoders.base import Encoder
from mm_milvus.errors import OptionError, StoreError
from mm_milvus.images.load import ImageLike
from mm_milvus.items.columns import ENCODED_COLUMNS, ITEM_COLUMNS
from mm_milvus.items.count import count_items
from mm_milvus.items.export import export_items
from mm_milvus.items.item import StoredItem
from mm_milvus.items.read import get_items
from mm_milvus.items.table import Items
from mm_milvus.search.candidates import QUERIES_PER_CALL, find_candidates, search_lists
from mm_milvus.search.current import CurrentDataset, Snapshot
from mm_milvus.search.cursor import next_cursor, page_options
from mm_milvus.search.details import read_details
from mm_milvus.search.fused import DEPTHS
from mm_milvus.search.fusion import fusion_mode
from mm_milvus.search.hits import Explanation, Hit, Page, Timings
from mm_milvus.search.items import as_ids, delete_selected, select_items
from mm_milvus.search.lists import KnownRows, ScoredList
from mm_milvus.search.options import SearchChanges, SearchOptions, with_changes
from mm_milvus.search.query import Query
from mm_milvus.search.ranking import Ranking
from mm_milvus.search.where import Conditions, Where
from mm_milvus.store.connection import StoreLike, opened
from mm_milvus.store.dataset import Dataset, open_indexes
from mm_milvus.store.deprecated import OldKeywords, open_by_old_keywords, warn_of_old_keywords
from mm_milvus.store.lifetime import Lifetime

P = ParamSpec("P")
R = TypeVar("R")


def _while_open(
    search: Callable[Concatenate[SearchClient, P], R],
) -> Callable[Concatenate[SearchClient, P], R]:
    """Let a search end with StoreError where the client is closed, before or meanwhile."""

    @wraps(search)
    def checked(client: SearchClient, /, *arguments: P.args, **options: P.kwargs) -> R:
        client._lifetime.check()
        try:
            return search(client, *arguments, **options)
        except RuntimeError:  # a pool that was shut down takes no calls
            client._lifetime.check()
            raise

    return checked


class SearchClient:
    """Searches one dataset. Safe to share between threads; close it, or use it in `with`.

    It belongs to one process: after a fork, each child process opens its own.

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
            self._current = CurrentDataset(indexes, encoder)
            self._resources = stack.pop_all()
        self._lifetime = Lifetime("the client")
        self._pool = ThreadPoolExecutor(thread_name_prefix="mm-milvus-search")

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self._current.last.spaces[0].dataset.name

    @property
    def model(self) -> str:
        """Name of the encoder; of several, the first."""
        return self.models[0]

    @property
    def models(self) -> list[str]:
        """Names of the encoders that are searched with."""
        return [space.dataset.manifest.encoder for space in self._current.last.spaces]

    @property
    def encoder(self) -> Encoder:
        """The encoder of queries; of several, the first. Loaded when it is first needed."""
        return self._current.last.spaces[0].queries.encoder

    def search(
        self,
        text: str | Iterable[str] | None = None,
        image: ImageLike | Iterable[ImageLike] | None = None,
        *,
        like: str | Iterable[str] = (),
        minus: str | Iterable[str] = (),
        weights: float | Iterable[float] = (),
        options: SearchOptions | None = None,
        **changes: Unpack[SearchChanges],
    ) -> list[Hit]:
        """Return the best items for a query, best first.

        Args:
            text: One or several texts to search for.
            image: One or several images to search for: paths, URLs, bytes, open binary files,
                uploads of a web framework, PIL images, or uint8 pixels.
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
            StoreError: When Milvus fails, or the client is closed.
        """
        query = Query.of(text, image, like=like, minus=minus, weights=weights)
        [hits] = self.search_many([query], options=options, **changes)
        return hits

    @_while_open
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
        parsed = Query.several(queries)
        merged = with_changes(options, changes)
        hits: list[list[Hit]] = []
        for start in range(0, len(parsed), QUERIES_PER_CALL):
            block = parsed[start : start + QUERIES_PER_CALL]
            hits += (hits_of for _, hits_of in self._search(block, merged, Timings()))
        return hits

    @_while_open
    def page(
        self,
        query: Query | str,
        cursor: str | None = None,
        *,
        options: SearchOptions | None = None,
        **changes: Unpack[SearchChanges],
    ) -> Page:
        """Return a page of hits, and the cursor of the next one.

        All pages of a query are parts of one ranking, which is read to 16,384 hits: while the
        dataset does not change, each hit is on one page.

        Args:
            query: A query, or a text.
            cursor: What the page before returned, for the same query and options; None for the
                first page. `top_k` may be another one on each page.
            options: As in `search`; with a cursor, `offset` is not used.
            **changes: As in `search`.

        Raises:
            QueryError: When the cursor is that of another query or of other options; and as
                `search` does.
        """
        parsed, merged = Query.from_any(query), with_changes(options, changes)
        asked = page_options(parsed, merged, cursor)
        [(ranking, hits)] = self._search([parsed], asked, Timings())
        return Page(hits, next_cursor(parsed, asked) if ranking.continues else None)

    @_while_open
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
        [(ranking, hits)] = self._search([Query.from_any(query)], merged, timings)
        return ranking.explain(hits, timings)

    @_while_open
    def get(self, ids: str | Iterable[str]) -> list[StoredItem | None]:
        """Return the item of each id, in the order of the ids; None where none is stored.

        Args:
            ids: The ids of items, or one id.

        Raises:
            QueryError: For an id that is no text.
            StoreError: When Milvus fails.
        """
        return get_items(self._index, as_ids(ids))

    @_while_open
    def count(self, **conditions: Unpack[Conditions]) -> int:
        """Return the number of items, or of those that meet conditions.

        Args:
            **conditions: `where`, `filter` and `caption_has`, as in `SearchOptions`.

        Raises:
            QueryError: When a condition cannot be used.
            StoreError: When Milvus fails.
        """
        return count_items(self._index, self._where.meets(conditions))

    @_while_open
    def items(
        self,
        ids: str | Iterable[str] | None = None,
        *,
        columns: Sequence[str] = ITEM_COLUMNS,
        after: str = "",
        limit: int | None = None,
        **conditions: Unpack[Conditions],
    ) -> Items:
        """Return items as Arrow record batches, read from the store one by one.

        They come in the order of their primary keys, which are hashes of the ids: those with an
        image first, then those without one.

        Args:
            ids: The items, in this order; ids that are not stored are left out (default: all items
                that meet the conditions).
            columns: Fields (`item_id`, `uri`, `captions`, `metadata`, `content_hash`,
                `image_embedding`, `caption_embeddings`), and keys of the metadata.
            after: The id of a stored item: begin with the next one, for the next page.
            limit: Maximum number of items (default: all).
            **conditions: As in `count`.

        Raises:
            OptionError: For columns or a limit that cannot be used.
            QueryError: When a condition cannot be used, no item has a key, or ids are given
                together with conditions or `after`.
            StoreError: When Milvus fails.
        """
        return select_items(
            self._index, self._where, ids, conditions, columns=columns, after=after, limit=limit
        )

    @_while_open
    def delete(
        self, ids: str | Iterable[str] | None = None, **conditions: Unpack[Conditions]
    ) -> int:
        """Delete items by their ids, or those that meet conditions; return how many there were.

        They are deleted for all encoders of the dataset. The next ingest of a source that has them
        brings them back.

        Args:
            ids: The items; ids that are not stored are no error.
            **conditions: As in `count`.

        Raises:
            QueryError: For neither ids nor conditions, for both, or a condition that cannot be
                used.
            StoreError: When Milvus fails; the same call deletes the rest.
        """
        return delete_selected(self._index, ids, conditions)

    @_while_open
    def export(
        self,
        path: str | os.PathLike[str],
        ids: str | Iterable[str] | None = None,
        *,
        columns: Sequence[str] = ITEM_COLUMNS,
        vectors: bool = False,
        progress: ProgressMode | bool = "none",
        **conditions: Unpack[Conditions],
    ) -> int:
        """Write items to a file, which appears when it is complete; return how many there are.

        A Parquet file with vectors is what `ingest` takes as embeddings, so that items move to
        another store without being encoded: `ingest(open_embeddings("items.parquet"))`.

        Args:
            path: A local path that ends in `.parquet`, `.jsonl` or `.csv`.
            ids: As in `items`.
            columns: As in `items`.
            vectors: Write the vectors, and all other columns that `ingest` needs.
            progress: How to show progress on stderr.
            **conditions: As in `count`.

        Raises:
            OptionError: For a path or columns that cannot be used.
            OutputError: When the file cannot be written.
            QueryError: As in `items`.
            StoreError: When Milvus fails.
        """
        if vectors and tuple(columns) != ITEM_COLUMNS:
            raise OptionError("`vectors` brings columns of its own: leave out `columns`")
        items = self.items(ids, columns=ENCODED_COLUMNS if vectors else columns, **conditions)
        return export_items(items, self._index.manifest, path, progress=progress)

    def close(self) -> None:
        """Close the client, and the store unless it was open already.

        Searches that other threads run meanwhile return their hits, or end with a StoreError, as do
        all later ones. Closing it again, or in a child process, does nothing.
        """
        if self._lifetime.is_inherited:
            return
        self._lifetime.closed = True
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

    @property
    def _index(self) -> Dataset:
        """The dataset as its first encoder here indexed it, with its present manifest."""
        dataset = self._current.last.spaces[0].dataset
        return replace(dataset, manifest=dataset.images.manifest())

    @property
    def _where(self) -> Where:
        return self._current.last.where

    def _search(
        self, queries: Sequence[Query], options: SearchOptions, timings: Timings
    ) -> list[tuple[Ranking, list[Hit]]]:
        """Return the ranking and the page of hits of each query."""
        snapshot = self._current.snapshot()
        try:
            return self._search_in(snapshot, queries, options, timings)
        except StoreError:
            # The dataset may have been built again since the snapshot was taken.
            if self._current.reread() is snapshot:
                raise
        timings.clear()
        return self._search_in(self._current.last, queries, options, timings)

    def _search_in(
        self,
        snapshot: Snapshot,
        queries: Sequence[Query],
        options: SearchOptions,
        timings: Timings,
    ) -> list[tuple[Ranking, list[Hit]]]:
        spaces = snapshot.spaces
        expression = snapshot.where.expression(options.where, options.filter, options.caption_has)
        with timings.time("encode"):
            by_space = [np.stack([space.encode(query) for query in queries]) for space in spaces]
        by_list: list[Vectors] = [
            vectors for space, vectors in zip(spaces, by_space, strict=True) for _ in space.lists
        ]
        lists = [scored_list for space in spaces for scored_list in space.lists]
        rankings = [
            Ranking(query, spaces, [vectors[n : n + 1] for vectors in by_list], options, self._pool)
            for n, query in enumerate(queries)
        ]
        known: KnownRows = {}
        self._read(rankings, lists, by_list, options, expression, known, timings)
        with timings.time("details"):
            wanted = {each for ranking in rankings for each in ranking.wanted}
            details = read_details(spaces[0].dataset, wanted, known, self._pool)
        return [(ranking, ranking.hits(details, timings)) for ranking in rankings]

    def _read(
        self,
        rankings: Sequence[Ranking],
        lists: Sequence[ScoredList],
        vectors: Sequence[Vectors],
        options: SearchOptions,
        expression: str,
        known: KnownRows,
        timings: Timings,
    ) -> None:
        """Read the lists until each ranking is as long as its page needs."""
        for depth in DEPTHS:
            short = [n for n, ranking in enumerate(rankings) if not ranking.is_read]
            if not short:
                return
            of_short = [of_list[short] for of_list in vectors]
            with timings.time("search"):
                found = search_lists(lists, of_short, depth.items, expression, known, self._pool)
            candidates = find_candidates(
                lists,
                of_short,
                found,
                background=fusion_mode(options.fusion).needs_background,
                bounds=[rankings[n].bound(depth.hits) for n in short],
                known=known,
                pool=self._pool,
                timings=timings,
            )
            with timings.time("fuse"):
                for n, of_query in zip(short, candidates, strict=True):
                    rankings[n].fused.extend(of_query, depth.hits)
