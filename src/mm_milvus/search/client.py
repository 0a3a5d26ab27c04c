"""SearchClient and its asynchronous mirror."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mm_milvus.encoders import Encoder, load_encoder
from mm_milvus.errors import QueryError, StoreError
from mm_milvus.filters import Condition, parse_condition, render
from mm_milvus.keys import caption_key
from mm_milvus.search.fusion import FUSION_MODES, fuse
from mm_milvus.search.hits import Hit
from mm_milvus.search.query import ImageQuery, encode_query
from mm_milvus.store import (
    Collection,
    Connection,
    Match,
    open_dataset,
    require_file,
)
from mm_milvus.store.collection import MAX_LIMIT

DEFAULT_FUSION = "max"
CANDIDATES_PER_HIT = 4
MIN_CANDIDATES = 100
"""Several captions of one item, and items of one list only, take places from others: each list
is read deeper than the answer is long."""


class SearchClient:
    """Searches one data set; keep it for many searches, share it between threads, close it.

    uri      a Milvus Lite `.db` file, or `http(s)://host:port`
    dataset  its name; None: the only one there is
    encoder  None: the one that the data set was built with is loaded at the first search

    Raises `StoreError` when the store cannot be reached or holds vectors of another encoder,
    `QueryError` for an unknown data set, `EncoderError` when the encoder cannot be had.
    """

    def __init__(
        self,
        uri: str,
        dataset: str | None = None,
        *,
        token: str | None = None,
        db_name: str | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        """Connect, and open the data set."""
        require_file(uri)
        self._connection = Connection(uri, token=token, db_name=db_name)
        try:
            self._dataset = open_dataset(self._connection, dataset)
            if encoder is not None:
                self._check(encoder)
        except BaseException:
            self._connection.close()
            raise
        self._encoder = encoder
        self._loading = threading.Lock()
        self._searches = ThreadPoolExecutor(thread_name_prefix="mm-milvus-search")

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self._dataset.name

    @property
    def model(self) -> str:
        """The encoder that the data set was built with."""
        return self._dataset.manifest.encoder

    @property
    def encoder(self) -> Encoder:
        """The encoder that turns questions into vectors."""
        with self._loading:
            if self._encoder is None:
                encoder = load_encoder(self.model)
                self._check(encoder)
                self._encoder = encoder
            return self._encoder

    def search(
        self,
        text: str | None = None,
        image: ImageQuery | None = None,
        *,
        top_k: int = 10,
        where: Sequence[Condition | str] = (),
        filter: str = "",  # noqa: A002 - the name in Milvus, the CLI and the API
        fusion: str = DEFAULT_FUSION,
    ) -> list[Hit]:
        """The best items for a text, an image, or both together, best first.

        top_k   how many items, 1 to 16,384
        where   conditions on the metadata, all of which must hold: `"price<50"`, or `Condition`
        filter  a raw Milvus boolean expression, as well
        fusion  one of `FUSION_MODES`
        """
        if not 1 <= top_k <= MAX_LIMIT:
            raise QueryError(f"top_k is {top_k}, and must be 1 to {MAX_LIMIT:,}")
        if fusion not in FUSION_MODES:
            raise QueryError(f"unknown fusion {fusion!r}: the modes are {', '.join(FUSION_MODES)}")
        expression = self._expression(where, filter)
        embedding = encode_query(self.encoder, text, image)
        images, texts = self._search_both(embedding, top_k, expression)
        hits = fuse(images, texts, FUSION_MODES[fusion])[:top_k]
        return self._with_captions(hits)

    def close(self) -> None:
        """Let go of the store."""
        self._searches.shutdown()
        self._connection.close()

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

    def _check(self, encoder: Encoder) -> None:
        manifest = self._dataset.manifest
        if encoder.spec.fingerprint != manifest.encoder_fingerprint:
            raise StoreError(
                f"data set {manifest.dataset!r} was built with {manifest.encoder} "
                f"(fingerprint {manifest.encoder_fingerprint}), and {encoder.spec.id} here has "
                f"the fingerprint {encoder.spec.fingerprint}: ingest it anew, or search with "
                "the encoder it was built with"
            )

    def _expression(self, where: Sequence[Condition | str], expression: str) -> str:
        conditions = [parse_condition(each) if isinstance(each, str) else each for each in where]
        typed = render(conditions, self._dataset.manifest.columns)
        return " and ".join(f"({part})" for part in (typed, expression.strip()) if part)

    def _search_both(
        self, embedding: NDArray[np.float32], top_k: int, expression: str
    ) -> tuple[list[Match], list[Match]]:
        limit = min(MAX_LIMIT, max(MIN_CANDIDATES, CANDIDATES_PER_HIT * top_k))
        params = self._dataset.manifest.search_params

        def search(collection: Collection) -> list[Match]:
            found = collection.search(
                embedding[None],
                limit,
                expression=expression,
                params=params.get(collection.modality.value),
            )
            return found[0]

        texts = self._searches.submit(search, self._dataset.texts)
        images = search(self._dataset.images)
        return images, texts.result()

    def _with_captions(self, hits: list[Hit]) -> list[Hit]:
        """Give a hit by its image alone the item's first caption, to be shown."""
        keys = {hit.item_id: caption_key(hit.item_id, 0) for hit in hits if hit.caption is None}
        if not keys:
            return hits
        captions = self._dataset.texts.captions(list(keys.values()))
        return [
            replace(hit, caption=captions.get(keys[hit.item_id])) if hit.caption is None else hit
            for hit in hits
        ]


class AsyncSearchClient:
    """`SearchClient` for asyncio: the same arguments, and searches that are awaited.

    Encoding is bound to a processor and not to the network, so each search runs in a thread;
    as many run at once as the event loop's executor has threads.
    """

    def __init__(self, uri: str, dataset: str | None = None, **options: Any) -> None:
        """Take note of the arguments; the first search connects, and so does `async with`."""
        self._arguments: dict[str, Any] = {"uri": uri, "dataset": dataset, **options}
        self._client: SearchClient | None = None
        self._connecting = asyncio.Lock()

    async def search(
        self,
        text: str | None = None,
        image: ImageQuery | None = None,
        *,
        top_k: int = 10,
        where: Sequence[Condition | str] = (),
        filter: str = "",  # noqa: A002 - the name in Milvus, the CLI and the API
        fusion: str = DEFAULT_FUSION,
    ) -> list[Hit]:
        """As `SearchClient.search`."""
        client = await self._connected()
        return await asyncio.to_thread(
            client.search,
            text,
            image,
            top_k=top_k,
            where=where,
            filter=filter,
            fusion=fusion,
        )

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
