"""Documents of several fields: one vector for an item's image and texts of its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_milvus.keys import content_hash
from mm_milvus.schema import IMAGE_FIELD


def document_texts(metadata: Mapping[str, Any], document: Mapping[str, float]) -> dict[str, str]:
    """The texts that an item has for a document's fields; an empty one is none."""
    texts = {name: metadata.get(name) for name in document if name != IMAGE_FIELD}
    return {name: text for name, text in texts.items() if isinstance(text, str) and text}


def document_hash(image_hash: str, texts: Mapping[str, str], document: Mapping[str, float]) -> str:
    """The hash of all that a document's vector comes from: 32 hex digits."""
    return content_hash(json.dumps([image_hash, dict(texts), dict(document)], sort_keys=True))


def combine(
    vectors: Mapping[str, NDArray[np.float32]], document: Mapping[str, float]
) -> NDArray[np.float32]:
    """The unit vector (dim,) of a document: the weighted sum of its fields' unit vectors.

    A field that the item lacks adds nothing. As in generalised contrastive learning (Zhu et al.,
    2024), where a model is trained with the same weights.
    """
    total = np.sum([document[name] * vector for name, vector in vectors.items()], axis=0)
    combined: NDArray[np.float32] = (total / np.linalg.norm(total)).astype(np.float32)
    return combined
