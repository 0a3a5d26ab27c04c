"""AsyncSearchClient: `SearchClient` for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.search.client import SearchClient
from mm_milvus.search.hits import Explanation, Hit
from mm_milvus.search.options import SearchOptions
from mm_milvus.search.query import ImageQuery, Query
from mm_milvus.store.connection import StoreLike


class AsyncSearchClient:
    """`SearchClient` for asyncio: the same arguments, and searches that are awaited.

    Encoding is bound to a processor and not to the network, so each search runs in a thread;
    as many run at once as the event loop's executor has threads.
    """

    def __init__(
        self, store: StoreLike = DEFAULT_STORE, dataset: str | None = None, **options: Any
    ) -> None:
        """Take note of the arguments; the first search connects, and so does `async with`."""
        self._arguments: dict[str, Any] = {"store": store, "dataset": dataset, **options}
        self._client: SearchClient | None = None
        self._connecting = asyncio.Lock()

    async def search(
        self,
        text: str | Iterable[str] | None = None,
        image: ImageQuery | Sequence[ImageQuery] | None = None,
        *,
        like: str | Iterable[str] = (),
        minus: str | Iterable[str] = (),
        weights: Sequence[float] = (),
        **options: Unpack[SearchOptions],
    ) -> list[Hit]:
        """As `SearchClient.search`."""
        client = await self._connected()
        return await asyncio.to_thread(
            client.search,
            text,
            image,
            like=like,
            minus=minus,
            weights=weights,
            **options,
        )

    async def search_many(
        self, queries: Iterable[Query | str], **options: Unpack[SearchOptions]
    ) -> list[list[Hit]]:
        """As `SearchClient.search_many`."""
        client = await self._connected()
        return await asyncio.to_thread(client.search_many, queries, **options)

    async def explain(self, query: Query | str, **options: Unpack[SearchOptions]) -> Explanation:
        """As `SearchClient.explain`."""
        client = await self._connected()
        return await asyncio.to_thread(client.explain, query, **options)

    async def close(self) -> None:
        """Let go of the store."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close)
            self._client = None

    async def __aenter__(self) -> Self:
        """Connect."""
        await self._connected()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def _connected(self) -> SearchClient:
        async with self._connecting:
            if self._client is None:
                self._client = await asyncio.to_thread(lambda: SearchClient(**self._arguments))
            return self._client
