"""One encoder's share of a data set: what turns questions into vectors, and its two lists."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import load_encoder
from mm_milvus.errors import QueryError
from mm_milvus.keys import image_key
from mm_milvus.search.lists import ScoredList
from mm_milvus.search.query import Query, compose, encode_image
from mm_milvus.store.dataset import Dataset

Vector = NDArray[np.float32]

CACHED_TEXTS = 1024
"""Of each encoder: services are asked the same again and again."""


class Space:
    """An encoder, and the collections that it filled. Safe to share between threads."""

    def __init__(self, dataset: Dataset, encoder: Encoder | None = None) -> None:
        """Name the data set; the encoder is loaded when it is needed, unless it is given.

        Raises `StoreError` when the given one is not what the data set was built with.
        """
        self.dataset = dataset
        self.lists = [ScoredList(dataset, collection) for collection in dataset.collections]
        self._given = encoder
        self._loading = threading.Lock()
        self._encode_text = lru_cache(CACHED_TEXTS)(self._encode_new_text)
        if encoder is not None:
            self._check(encoder)

    @property
    def name(self) -> str:
        """What the encoder is called beside others: the last part of its id."""
        return self.dataset.manifest.encoder.rstrip("/").rpartition("/")[2]

    @property
    def encoder(self) -> Encoder:
        """The encoder that turns questions into vectors."""
        with self._loading:
            if self._given is None:
                encoder = load_encoder(self.dataset.manifest.encoder)
                self._check(encoder)
                self._given = encoder
            return self._given

    def encode(self, query: Query) -> Vector:
        """The query as a unit vector of this space, float32 (dim,)."""
        parts = [self._encode_text(text) for text in query.texts]
        parts += [encode_image(self.encoder, image) for image in query.images]
        parts += self._like(query.like)
        return compose(parts, query.weights, [self._encode_text(text) for text in query.minus])

    def image_vectors(self, item_ids: Sequence[str]) -> Vector:
        """The stored image vectors of items, float32 (n, dim); zeros for what is not there."""
        keys = [image_key(item_id) for item_id in item_ids]
        stored = self.dataset.images.embeddings(keys) if keys else {}
        nothing = np.zeros(self.dataset.manifest.dim, dtype=np.float32)
        return np.array([stored.get(key, nothing) for key in keys])

    def _like(self, item_ids: Sequence[str]) -> list[Vector]:
        vectors = list(self.image_vectors(item_ids))
        for item_id, vector in zip(item_ids, vectors, strict=True):
            if not vector.any():
                raise QueryError(
                    f"no item {item_id!r} in the data set {self.dataset.name!r}; "
                    "hits tell the item_ids that there are"
                )
        return vectors

    def _encode_new_text(self, text: str) -> Vector:
        vector: Vector = self.encoder.encode_texts([text])[0]
        vector.setflags(write=False)
        return vector

    def _check(self, encoder: Encoder) -> None:
        self.dataset.manifest.require_encoder(
            encoder.spec.id,
            encoder.spec.fingerprint,
            "search with that one, or index the data set with both (ingest --add-encoder)",
        )
