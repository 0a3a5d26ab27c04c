"""Documents of several fields: one vector for an item's image and texts of its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from mm_milvus.arrays import Vector
from mm_milvus.choices import IMAGE_FIELD
from mm_milvus.keys import content_hash


def document_texts(metadata: Mapping[str, Any], document: Mapping[str, float]) -> dict[str, str]:
    """Return an item's texts for the fields of a document; empty texts are left out."""
    texts = {name: metadata.get(name) for name in document if name != IMAGE_FIELD}
    return {name: text for name, text in texts.items() if isinstance(text, str) and text}


def document_hash(image_hash: str, texts: Mapping[str, str], document: Mapping[str, float]) -> str:
    """Return the hash of everything that a document's vector depends on: 32 hex digits."""
    return content_hash(json.dumps([image_hash, dict(texts), dict(document)], sort_keys=True))


def combine(vectors: Mapping[str, Vector], document: Mapping[str, float]) -> Vector:
    """Combine the vectors of a document's fields to one unit vector, float32 (dim,).

    The weighted sum of the fields' unit vectors, scaled to unit length. A field that the item
    lacks adds nothing. As in generalised contrastive learning (Zhu et al., 2024), where a model is
    trained with the same weights.
    """
    total = np.sum([document[name] * vector for name, vector in vectors.items()], axis=0)
    return np.asarray(total / np.linalg.norm(total), np.float32)
