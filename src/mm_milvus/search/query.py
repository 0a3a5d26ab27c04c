"""A text, an image or both to one unit vector."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mm_milvus.encoders import Encoder
from mm_milvus.errors import ImageError, QueryError
from mm_milvus.images import load_pixels

ImageQuery = str | os.PathLike[str] | bytes | Image.Image
"""An image to search with: a path, the bytes of an image file, or a PIL image."""


def encode_query(
    encoder: Encoder, text: str | None, image: ImageQuery | None
) -> NDArray[np.float32]:
    """The question as a float32 vector of (dim,), unit length.

    A text and an image together are the normalised sum of their vectors: the middle of the arc
    between them. Raises `QueryError` when there is nothing to search for.
    """
    vectors = []
    if text is not None:
        if not text.strip():
            raise QueryError("the query is empty: give a text, an image, or both")
        vectors.append(encoder.encode_texts([text])[0])
    if image is not None:
        vectors.append(_encode_image(encoder, image))
    if not vectors:
        raise QueryError("the query is empty: give a text, an image, or both")
    total = np.sum(vectors, axis=0)
    length = float(np.linalg.norm(total))
    if length < np.finfo(np.float32).eps:
        raise QueryError("the text and the image cancel out: search with one of them")
    return np.asarray(total / length, dtype=np.float32)


def _encode_image(encoder: Encoder, image: ImageQuery) -> NDArray[np.float32]:
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
    try:
        return str(image), Path(image).read_bytes()
    except OSError as error:
        raise QueryError(f"cannot read the image {image}: {error.strerror}") from error


def _png(image: Image.Image) -> bytes:
    import io

    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()
