"""AsyncSearchClient: `SearchClient` for asyncio."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar, Unpack

import pyarrow as pa

from mm_milvus.choices import DEFAULT_STORE, ProgressMode
from mm_milvus.encoders.base import Encoder
from mm_milvus.images.load import ImageLike
from mm_milvus.items.columns import ITEM_COLUMNS
from mm_milvus.items.item import StoredItem
from mm_milvus.search.client import SearchClient
from mm_milvus.search.hits import Explanation, Hit, Page
from mm_milvus.search.options import SearchChanges, SearchOptions
from mm_milvus.search.query import Query
from mm_milvus.search.where import Conditions
from mm_milvus.store.connection import StoreLike
from mm_milvus.store.deprecated import OldKeywords, open_by_old_keywords, warn_of_old_keywords
from mm_milvus.store.lifetime import Lifetime

P = ParamSpec("P")
R = TypeVar("R")


class AsyncSearchClient:
    """`SearchClient` for asyncio: the same arguments, and searches that are awaited.

    Encoding is limited by the processor and not by the network, so each search runs in a thread;
    as many run in parallel as the event loop's default executor has threads. A client holds nothing
    of a loop: several threads, each with a loop of its own, can share one.

        async with AsyncSearchClient("./mm_milvus.db", "photos") as client:
            hits = await client.search("red dress", top_k=5)
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
        """Record the arguments, those of `SearchClient`; `async with` or the first search connects.

        Args:
            store: As in `SearchClient`.
            dataset: As in `SearchClient`.
            encoder: As in `SearchClient`.
            encoders: As in `SearchClient`.
            **old_keywords: As in `SearchClient`.
        """
        if old_keywords:
            warn_of_old_keywords("AsyncSearchClient", old_keywords, stacklevel=2)
        self._store = store
        self._dataset = dataset
        self._encoder = encoder
        self._encoders = encoders
        self._old_keywords = old_keywords
        self._resources = ExitStack()
        self._client: SearchClient | None = None
        self._connecting = threading.Lock()
        self._lifetime = Lifetime("the client")

    async def search(
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
        """Search as `SearchClient.search` does."""
        return await self._run(
            SearchClient.search,
            text,
            image,
            like=like,
            minus=minus,
            weights=weights,
            options=options,
            **changes,
        )

    async def search_many(
        self,
        queries: Iterable[Query | str],
        *,
        options: SearchOptions | None = None,
        **changes: Unpack[SearchChanges],
    ) -> list[list[Hit]]:
        """Search as `SearchClient.search_many` does."""
        return await self._run(SearchClient.search_many, queries, options=options, **changes)

    async def page(
        self,
        query: Query | str,
        cursor: str | None = None,
        *,
        options: SearchOptions | None = None,
        **changes: Unpack[SearchChanges],
    ) -> Page:
        """Return a page as `SearchClient.page` does."""
        return await self._run(SearchClient.page, query, cursor, options=options, **changes)

    async def explain(
        self,
        query: Query | str,
        *,
        options: SearchOptions | None = None,
        **changes: Unpack[SearchChanges],
    ) -> Explanation:
        """Explain as `SearchClient.explain` does."""
        return await self._run(SearchClient.explain, query, options=options, **changes)

    async def _run(
        self, search: Callable[Concatenate[SearchClient, P], R], *args: P.args, **options: P.kwargs
    ) -> R:
        """Run a search in a thread, which connects first where that is needed."""
        return await asyncio.to_thread(lambda: search(self._connected(), *args, **options))

    @property
    def dataset(self) -> str:
        """Name of the dataset. This and the other properties connect first, where needed."""
        return self._connected().dataset

    @property
    def model(self) -> str:
        """Name of the encoder; of several, the first."""
        return self._connected().model

    @property
    def models(self) -> list[str]:
        """Names of the encoders that are searched with."""
        return self._connected().models

    @property
    def encoder(self) -> Encoder:
        """The encoder of queries; of several, the first. Loaded when it is first needed."""
        return self._connected().encoder

    async def get(self, ids: str | Iterable[str]) -> list[StoredItem | None]:
        """Return items as `SearchClient.get` does."""
        return await self._run(SearchClient.get, ids)

    async def count(self, **conditions: Unpack[Conditions]) -> int:
        """Count items as `SearchClient.count` does."""
        return await self._run(SearchClient.count, **conditions)

    async def items(
        self,
        ids: str | Iterable[str] | None = None,
        *,
        columns: Sequence[str] = ITEM_COLUMNS,
        after: str = "",
        limit: int | None = None,
        **conditions: Unpack[Conditions],
    ) -> AsyncIterator[pa.RecordBatch]:
        """Yield the record batches of `SearchClient.items`."""
        items = await self._run(
            SearchClient.items, ids, columns=columns, after=after, limit=limit, **conditions
        )
        batches = iter(items)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            yield batch

    async def delete(
        self, ids: str | Iterable[str] | None = None, **conditions: Unpack[Conditions]
    ) -> int:
        """Delete items as `SearchClient.delete` does."""
        return await self._run(SearchClient.delete, ids, **conditions)

    async def export(
        self,
        path: str | os.PathLike[str],
        ids: str | Iterable[str] | None = None,
        *,
        columns: Sequence[str] = ITEM_COLUMNS,
        vectors: bool = False,
        progress: ProgressMode | bool = "none",
        **conditions: Unpack[Conditions],
    ) -> int:
        """Write items to a file as `SearchClient.export` does."""
        return await self._run(
            SearchClient.export,
            path,
            ids,
            columns=columns,
            vectors=vectors,
            progress=progress,
            **conditions,
        )

    async def close(self) -> None:
        """Close as `SearchClient.close` does; a client that has not connected never will."""
        if not self._lifetime.is_inherited:
            await asyncio.to_thread(self._close)

    async def __aenter__(self) -> Self:
        """Connect, and enter a block that ends with `close`."""
        await asyncio.to_thread(self._connected)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    def _connected(self) -> SearchClient:
        """Return the client, connected by the first call."""
        self._lifetime.check()
        with self._connecting:
            self._lifetime.check()
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> SearchClient:
        with ExitStack() as stack:
            store = self._store
            if self._old_keywords:
                store = stack.enter_context(open_by_old_keywords(store, self._old_keywords))
            client = stack.enter_context(
                SearchClient(store, self._dataset, encoder=self._encoder, encoders=self._encoders)
            )
            self._resources = stack.pop_all()
        return client

    def _close(self) -> None:
        with self._connecting:
            self._lifetime.closed = True
            self._resources.close()
