"""AsyncSearchClient: `SearchClient` for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self, Unpack

from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.encoders.base import Encoder
from mm_milvus.images.load import ImageLike
from mm_milvus.search.client import SearchClient
from mm_milvus.search.hits import Explanation, Hit, Page
from mm_milvus.search.options import SearchChanges, SearchOptions
from mm_milvus.search.query import Query
from mm_milvus.store.connection import StoreLike
from mm_milvus.store.deprecated import OldKeywords, open_by_old_keywords, warn_of_old_keywords


class AsyncSearchClient:
    """`SearchClient` for asyncio: the same arguments, and searches that are awaited.

    Encoding is limited by the processor and not by the network, so each search runs in a thread;
    as many run in parallel as the event loop's default executor has threads.

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
        self._connecting = asyncio.Lock()

    async def search(
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
        """Search as `SearchClient.search` does."""
        client = await self._connected()
        return await asyncio.to_thread(
            client.search,
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
        client = await self._connected()
        return await asyncio.to_thread(client.search_many, queries, options=options, **changes)

    async def page(
        self,
        query: Query | str,
        cursor: str | None = None,
        *,
        options: SearchOptions | None = None,
        **changes: Unpack[SearchChanges],
    ) -> Page:
        """Return a page as `SearchClient.page` does."""
        client = await self._connected()
        return await asyncio.to_thread(client.page, query, cursor, options=options, **changes)

    async def explain(
        self,
        query: Query | str,
        *,
        options: SearchOptions | None = None,
        **changes: Unpack[SearchChanges],
    ) -> Explanation:
        """Explain as `SearchClient.explain` does."""
        client = await self._connected()
        return await asyncio.to_thread(client.explain, query, options=options, **changes)

    async def close(self) -> None:
        """Close the client, and the store unless it was open already."""
        self._client = None
        await asyncio.to_thread(self._resources.close)

    async def __aenter__(self) -> Self:
        """Connect, and enter a block that ends with `close`."""
        await self._connected()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def _connected(self) -> SearchClient:
        async with self._connecting:
            if self._client is None:
                self._client = await asyncio.to_thread(self._connect)
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
