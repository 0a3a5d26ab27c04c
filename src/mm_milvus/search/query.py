"""A query, and the composition of its parts to one unit vector."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from mm_milvus.arrays import Vector
from mm_milvus.encoders.base import Encoder
from mm_milvus.errors import ImageError, QueryError, SourceError
from mm_milvus.images.decoding import load_pixels
from mm_milvus.images.load import ImageLike, read

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
        """Check the parts; raise QueryError."""
        parts = len(self.texts) + len(self.images) + len(self.like)
        if not parts:
            raise QueryError(
                "the query is empty: give a text, an image, or an item that the hits are to be like"
            )
        if not all(text.strip() for text in (*self.texts, *self.minus)):
            raise QueryError("the query is empty: a text has no words")
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
        image: ImageLike | Sequence[ImageLike] | None = None,
        *,
        like: str | Iterable[str] = (),
        minus: str | Iterable[str] = (),
        weights: Sequence[float] = (),
    ) -> Self:
        """Make a query from one or several parts of each kind.

        Args:
            text: One or several texts.
            image: One or several images.
            like: One or several item_ids.
            minus: One or several texts to avoid.
            weights: As in the attributes.
        """
        return cls(_several(text), _several(image), _several(like), _several(minus), tuple(weights))

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
        try:
            return cls.of(**fields)
        except (TypeError, AttributeError) as error:
            raise QueryError(f"{str(fields)[:60]} is no query: {error}") from error

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
    kinds = {bytes: "bytes", np.ndarray: "an array"}
    return f"given as {kinds.get(type(image), 'a PIL image')}"


def _several(parts: Any) -> tuple[Any, ...]:
    if parts is None:
        return ()
    return tuple(parts) if isinstance(parts, list | tuple) else (parts,)
