"""From images of any form to vectors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mm_milvus.arrays import Pixels, Vectors
from mm_milvus.encoders.base import Encoder
from mm_milvus.errors import ImageError, OptionError
from mm_milvus.images.decoding import load_pixels
from mm_milvus.images.load import ImageLike, is_one_image, read
from mm_milvus.images.preprocessing import Preprocessing


def embed_images(encoder: Encoder, images: Sequence[ImageLike]) -> Vectors:
    """Embed images: decode them as the encoder needs, and encode them in batches.

    The vectors equal those that `ingest` stores and that `SearchClient.search` uses for an image.

    Args:
        encoder: From `load_encoder`, or any `Encoder`.
        images: n images, each a local path, an fsspec URI or URL, the bytes of an image file, an
            open binary file, a PIL image, or uint8 pixels, (height, width, 3) as RGB or
            (height, width) as grey.

    Returns:
        float32, (n, dim), each row of unit length, in the order of the images.

    Raises:
        SourceError: When a file cannot be read.
        ImageError: When an image cannot be decoded.
        OptionError: When `images` is a single path, file or PIL image, or the bytes of one.
    """
    if is_one_image(images) and not isinstance(images, np.ndarray):
        raise OptionError("`images` is a single image; pass a list of images")
    spec, size = encoder.spec, encoder.batch_size
    vectors = np.empty((len(images), spec.dim), np.float32)
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="mm-milvus-decode") as pool:
        for start in range(0, len(images), size):
            batch = range(start, min(start + size, len(images)))
            pixels = pool.map(lambda n: _pixels(images[n], n, spec.preprocessing), batch)
            vectors[batch.start : batch.stop] = encoder.encode_images(np.stack(list(pixels)))
    return vectors


def _pixels(image: ImageLike, number: int, preprocessing: Preprocessing) -> Pixels:
    try:
        return load_pixels(read(image), preprocessing)
    except ImageError as error:
        name = image if isinstance(image, str | os.PathLike) else f"image {number}"
        raise ImageError(f"{name} {error}") from error
