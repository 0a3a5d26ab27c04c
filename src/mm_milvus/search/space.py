"""One encoder of a dataset: it turns queries into vectors, and has two lists of stored vectors."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mm_milvus.arrays import Vector, Vectors
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import as_encoder, load_encoder
from mm_milvus.errors import QueryError
from mm_milvus.keys import image_key
from mm_milvus.search.lists import ScoredList
from mm_milvus.search.query import Query, compose, encode_image
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.manifest import Manifest, short_name

CACHED_BYTES = 4 * 2**20
"""Size of the texts and vectors that are kept per encoder, a thousand short texts or more: a
service receives the same texts repeatedly."""


class VectorCache:
    """Vectors of texts, the most recently used ones. Safe to share between threads."""

    def __init__(self, encode: Callable[[str], Vector], max_bytes: int = CACHED_BYTES) -> None:
        """Keep what `encode` returns, up to a size of texts and vectors together."""
        self._encode = encode
        self._max_bytes = max_bytes
        self._vectors: OrderedDict[str, Vector] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __call__(self, text: str) -> Vector:
        """Return the vector of a text."""
        with self._lock:
            if text in self._vectors:
                self._vectors.move_to_end(text)
                return self._vectors[text]
        vector = self._encode(text)
        with self._lock:
            if text not in self._vectors:
                self._vectors[text] = vector
                self._bytes += _size(text, vector)
            while self._bytes > self._max_bytes:
                self._bytes -= _size(*self._vectors.popitem(last=False))
        return vector


def _size(text: str, vector: Vector) -> int:
    return sys.getsizeof(text) + vector.nbytes


class QueryEncoder:
    """The encoder of a dataset's queries, loaded when it is first needed. Safe between threads."""

    def __init__(self, manifest: Manifest, encoder: Encoder | None = None) -> None:
        """Take what the dataset was built with, and its encoder (default: loaded by its name).

        Raises:
            StoreError: When the encoder is not the one that the dataset was built with.
        """
        self._manifest = manifest
        self._given = encoder if encoder is None else as_encoder(encoder)
        self._encoder = self._given
        self._loading = threading.Lock()
        self.encode_text = VectorCache(self._encode_new_text)
        if self._given is not None:
            self._check(self._given)

    @property
    def encoder(self) -> Encoder:
        """The encoder."""
        with self._loading:
            if self._encoder is None:
                encoder = load_encoder(self._manifest.encoder)
                self._check(encoder)
                self._encoder = encoder
            return self._encoder

    def of(self, manifest: Manifest) -> QueryEncoder:
        """Return the encoder of a dataset that may have been built again, with another one.

        Raises:
            StoreError: When the encoder was given, and it is another one now.
        """
        if manifest.encoder_fingerprint == self._manifest.encoder_fingerprint:
            return self
        return QueryEncoder(manifest, self._given)

    def _encode_new_text(self, text: str) -> Vector:
        vector: Vector = self.encoder.encode_texts([text])[0]
        vector.setflags(write=False)
        return vector

    def _check(self, encoder: Encoder) -> None:
        self._manifest.require_encoder(
            encoder.spec.id,
            encoder.spec.fingerprint,
            "search with that one, or index the dataset with both (`add_encoder`)",
        )


class Space:
    """The vector space of one encoder. Safe to share between threads.

    Attributes:
        dataset: The dataset as this encoder indexed it.
        lists: The lists of its images and of its captions.
        queries: The encoder of queries.
    """

    def __init__(
        self,
        dataset: Dataset,
        queries: QueryEncoder | None = None,
        rows: Mapping[str, int] | None = None,
    ) -> None:
        """Take a dataset.

        Args:
            dataset: The dataset.
            queries: The encoder of queries (default: loaded when it is first needed).
            rows: The row counts by modality (default: those of the manifest).
        """
        self.dataset = dataset
        self.lists = [ScoredList(dataset, collection, rows) for collection in dataset.collections]
        self.queries = queries or QueryEncoder(dataset.manifest)

    @property
    def name(self) -> str:
        """Short name of the encoder among several: the last part of its id."""
        return short_name(self.dataset.manifest.encoder)

    def encode(self, query: Query) -> Vector:
        """Return a query as a unit vector of this space: float32 (dim,)."""
        encode_text = self.queries.encode_text
        parts = [encode_text(text) for text in query.texts]
        parts += [encode_image(self.queries.encoder, image) for image in query.images]
        parts += self._item_vectors(query.like)
        return compose(parts, query.weights, [encode_text(text) for text in query.minus])

    def image_vectors(self, item_ids: Sequence[str]) -> Vectors:
        """Return the stored image vectors of items: float32 (n, dim), zeros for missing ones."""
        keys = [image_key(item_id) for item_id in item_ids]
        stored = self.dataset.images.embeddings(keys) if keys else {}
        missing = np.zeros(self.dataset.manifest.dim, dtype=np.float32)
        return np.array([stored.get(key, missing) for key in keys])

    def _item_vectors(self, item_ids: Sequence[str]) -> list[Vector]:
        vectors = list(self.image_vectors(item_ids))
        for item_id, vector in zip(item_ids, vectors, strict=True):
            if not vector.any():
                raise QueryError(
                    f"no item {item_id!r} in dataset {self.dataset.name!r} has an image; "
                    "the item_ids are those of hits"
                )
        return vectors
