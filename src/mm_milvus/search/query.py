"""What is searched for, and the composition of its parts to one unit vector."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mm_milvus.encoders.base import Encoder
from mm_milvus.errors import ImageError, QueryError, SourceError
from mm_milvus.images.decode import load_pixels

ImageQuery = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]
"""An image to search with: a path, a URL, the bytes of an image file, a PIL image, or uint8
pixels of (height, width, 3) as RGB or (height, width) as grey."""

MINUS_WEIGHT = 0.5
"""Of what is not wanted. On clothing photos (24 queries of a garment, minus a colour that it often
has), the unwanted colour fell from 22 % of the first ten to 14, 8, 5 and 3 % at 0.25, 0.5, 0.75
and 1, and the share of the right garment stayed at 0.99 up to 0.5, and fell to 0.97 at 1."""

FIELDS = ("text", "image", "like", "minus", "weights")
"""What a line of a file of queries may hold."""


@dataclass(frozen=True, slots=True)
class Query:
    """The parts of a question; at least one text, image or item.

    texts    what to search for
    images   pictures to search with
    like     item_ids of the data set: more like these, which are not found themselves
    minus    what is not wanted
    weights  of texts, images and like, in this order; fewer than there are parts: those of the
             last parts, and the others weigh 1
    """

    texts: tuple[str, ...] = ()
    images: tuple[ImageQuery, ...] = ()
    like: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Raise `QueryError` for a question that cannot be asked."""
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
        image: ImageQuery | Sequence[ImageQuery] | None = None,
        *,
        like: str | Iterable[str] = (),
        minus: str | Iterable[str] = (),
        weights: Sequence[float] = (),
    ) -> Self:
        """A query of one or several of each kind."""
        return cls(_several(text), _several(image), _several(like), _several(minus), tuple(weights))

    @classmethod
    def from_dict(cls, fields: Any) -> Self:
        """A query as a line of JSON has it: `{"text": "red dress", "image": ["a.jpg"]}`."""
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
        """The parts that there are, as JSON has them; an image by its path or URL."""
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
    parts: Sequence[NDArray[np.float32]],
    weights: Sequence[float],
    minus: Sequence[NDArray[np.float32]],
) -> NDArray[np.float32]:
    """The question as a unit vector, float32 (dim,): the weighted sum of unit vectors, normalised.

    Of two parts of equal weight it is the middle of the arc between them. What is not wanted is
    subtracted, each with `MINUS_WEIGHT`. Raises `QueryError` when the parts cancel out.
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


def encode_image(encoder: Encoder, image: ImageQuery) -> NDArray[np.float32]:
    """The unit vector of an image, float32 (dim,); `QueryError` when it is none."""
    name, data = _read(image)
    try:
        pixels = load_pixels(data, encoder.spec.preprocessing)
    except ImageError as error:
        raise QueryError(f"cannot search with the image {name}: it {error}") from error
    vector: NDArray[np.float32] = encoder.encode_images(pixels[None])[0]
    return vector


def _read(image: ImageQuery) -> tuple[str, bytes]:
    if isinstance(image, bytes):
        return "given as bytes", image
    if isinstance(image, Image.Image):
        return "given as a PIL image", _png(image)
    if isinstance(image, np.ndarray):
        return "given as an array", _png(_from_array(image))
    if "://" in str(image):
        from mm_milvus.files import read_image

        try:
            return str(image), read_image(str(image))
        except SourceError as error:
            raise QueryError(f"cannot read the image: {error}") from error
    try:
        return str(image), Path(image).read_bytes()
    except OSError as error:
        raise QueryError(f"cannot read the image {image}: {error.strerror}") from error


def _from_array(pixels: NDArray[Any]) -> Image.Image:
    if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((3,), ()) or pixels.ndim < 2:
        raise QueryError(
            f"cannot search with an array of {pixels.dtype} {pixels.shape}: give uint8 pixels of "
            "(height, width, 3), RGB, or (height, width)"
        )
    return Image.fromarray(pixels)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def _several(given: Any) -> tuple[Any, ...]:
    if given is None:
        return ()
    return tuple(given) if isinstance(given, list | tuple) else (given,)
