"""A query, and the composition of its parts to one unit vector."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Self

import numpy as np

from mm_milvus.arrays import Vector
from mm_milvus.encoders.base import Encoder
from mm_milvus.errors import ImageError, QueryError, SourceError
from mm_milvus.images.decoding import load_pixels
from mm_milvus.images.load import ImageLike, as_read, is_one_image, read
from mm_milvus.search.inputs import is_iterable, several
from mm_milvus.text import is_utf8

MINUS_WEIGHT = 0.5
"""Weight of each unwanted text. On clothing photos (24 queries for a garment, minus a colour that
it often has), the unwanted colour fell from 22 % of the first ten hits to 14, 8, 5 and 3 % at 0.25,
0.5, 0.75 and 1, and the share of the right garment stayed at 0.99 up to 0.5, and fell to 0.97 at
1."""

FIELDS = ("text", "image", "like", "minus", "weights")
"""Fields of a query in JSON."""


@dataclass(frozen=True, slots=True)
class Query:
    """The parts of a query: at least one text, image or stored item.

    A single part, or any iterable of parts, may take the place of a tuple.

    Attributes:
        texts: Texts to search for.
        images: Images to search for.
        like: item_ids of stored items: find more like these, which are not returned themselves.
        minus: Texts to avoid.
        weights: Weights above 0 of texts, images and `like`, in this order. Fewer weights than
            parts: they are those of the last parts, and the others weigh 1.

    Raises:
        QueryError: When the query is empty, or a weight cannot be used.
    """

    texts: tuple[str, ...] = ()
    images: tuple[ImageLike, ...] = ()
    like: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Bring the parts into the form of the attributes, and check them; raise QueryError."""
        parts_of_kinds = {
            "texts": tuple(_text(text, "text") for text in several(self.texts)),
            "images": tuple(_image(image) for image in several(self.images, is_one_image)),
            "like": tuple(_item_id(item_id) for item_id in several(self.like)),
            "minus": tuple(_text(text, "minus") for text in several(self.minus)),
            "weights": tuple(_weight(weight) for weight in several(self.weights)),
        }
        for name, values in parts_of_kinds.items():
            object.__setattr__(self, name, values)
        parts = len(self.texts) + len(self.images) + len(self.like)
        if not parts:
            raise QueryError(
                "the query is empty: give a text, an image, or an item that the hits are to be like"
            )
        if len(self.weights) > parts:
            raise QueryError(f"{len(self.weights)} weights for {parts} parts of the query")
        if not all(np.isfinite(weight) and weight > 0 for weight in self.weights):
            raise QueryError(
                f"the weights {', '.join(map(str, self.weights))} make no sense: "
                "they are above 0; what is not wanted is named by minus"
            )

    @classmethod
    def of(
        cls,
        text: str | Iterable[str] | None = None,
        image: ImageLike | Iterable[ImageLike] | None = None,
        *,
        like: str | Iterable[str] = (),
        minus: str | Iterable[str] = (),
        weights: float | Iterable[float] = (),
    ) -> Self:
        """Make a query from one or several parts of each kind.

        Args:
            text: One or several texts.
            image: One or several images. An open file is read here.
            like: One or several item_ids.
            minus: One or several texts to avoid.
            weights: As in the attributes.
        """
        # The constructor takes single parts, and iterables of them, as well.
        parts: tuple[Any, ...] = (text, image, like, minus, weights)
        return cls(*parts)

    @classmethod
    def from_any(cls, query: Query | str) -> Query:
        """Return a query unchanged, and a text as a query; raise QueryError for anything else."""
        if isinstance(query, Query):
            return query
        if not isinstance(query, str):
            raise QueryError(f"a query is given as {type(query).__name__}; give a Query or a text")
        return cls.of(query)

    @classmethod
    def several(cls, queries: Iterable[Query | str]) -> list[Query]:
        """Return queries and texts as queries; raise QueryError for anything else."""
        if not is_iterable(queries):
            raise QueryError(
                f"the queries are given as {type(queries).__name__}; give a list of Query and texts"
            )
        return [cls.from_any(query) for query in queries]

    @classmethod
    def from_dict(cls, fields: Any) -> Self:
        """Make a query from JSON types: `{"text": "red dress", "image": ["a.jpg"]}`, or a text.

        Raises:
            QueryError: When the fields are not those of a query.
        """
        if isinstance(fields, str):
            return cls.of(fields)
        if not isinstance(fields, dict) or not fields.keys() <= set(FIELDS):
            raise QueryError(
                f"{str(fields)[:60]} is no query: write a JSON object of {', '.join(FIELDS)}"
            )
        return cls.of(**fields)

    def to_dict(self) -> dict[str, Any]:
        """Return the non-empty parts as JSON types; an image without path or URL as `…`."""
        images = [
            str(image) if isinstance(image, str | os.PathLike) else "…" for image in self.images
        ]
        parts = {
            "text": self.texts,
            "image": images,
            "like": self.like,
            "minus": self.minus,
            "weights": self.weights,
        }
        return {name: list(part) for name, part in parts.items() if part}


def compose(
    parts: Sequence[Vector],
    weights: Sequence[float],
    minus: Sequence[Vector],
) -> Vector:
    """Compose a query from its parts: their weighted sum, normalised to unit length.

    For two parts of equal weight this is the middle of the arc between them.

    Args:
        parts: Unit vectors: float32 (dim,).
        weights: Weights of the last parts; the others weigh 1.
        minus: Unit vectors to subtract, each with `MINUS_WEIGHT`.

    Returns:
        A unit vector: float32 (dim,).

    Raises:
        QueryError: When the parts cancel out.
    """
    shares = np.ones(len(parts))
    if weights:
        shares[-len(weights) :] = weights
    shares /= shares.sum()
    total = shares @ np.stack(parts).astype(np.float64)
    if minus:
        total -= MINUS_WEIGHT * np.sum(minus, axis=0, dtype=np.float64)
    length = float(np.linalg.norm(total))
    if length < np.finfo(np.float32).eps:
        raise QueryError("the parts of the query cancel out: search with fewer of them")
    return np.asarray(total / length, dtype=np.float32)


def encode_image(encoder: Encoder, image: ImageLike) -> Vector:
    """Return the unit vector of an image: float32 (dim,).

    Raises:
        QueryError: When the image cannot be read or decoded.
    """
    try:
        pixels = load_pixels(read(image, special=True), encoder.spec.preprocessing)
    except SourceError as error:
        raise QueryError(f"cannot read the image: {error}") from error
    except ImageError as error:
        name = _image_name(image)
        raise QueryError(f"cannot search with the image {name}: it {error}") from error
    vector: Vector = encoder.encode_images(pixels[None])[0]
    return vector


def _image_name(image: ImageLike) -> str:
    if isinstance(image, str | os.PathLike):
        return str(image)
    kinds: dict[type, str] = {bytes: "bytes", np.ndarray: "an array"}
    return f"given as {kinds.get(type(image), 'a PIL image')}"


def _text(text: object, part: str) -> str:
    if not isinstance(text, str):
        raise QueryError(
            f"a text of the query (`{part}`) is given as {type(text).__name__}; give a text, or "
            "several in a list"
        )
    if not text.strip():
        raise QueryError("the query is empty: a text has no words")
    return str(text)


def _item_id(item_id: object) -> str:
    if not isinstance(item_id, str) or not is_utf8(item_id):
        shown = repr(item_id) if isinstance(item_id, str) else type(item_id).__name__
        raise QueryError(f"{shown} is no item (`like`): give the item_id of a hit, or several")
    return str(item_id)


def _image(image: object) -> ImageLike:
    try:
        return as_read(image)
    except ImageError as error:
        raise QueryError(f"cannot search with the image: it {error}") from error


def _weight(weight: object) -> float:
    if not isinstance(weight, Real) or isinstance(weight, bool):
        raise QueryError(
            f"a weight of the query (`weights`) is given as {type(weight).__name__}; give numbers"
        )
    try:
        return float(weight)
    except OverflowError:
        return math.inf
