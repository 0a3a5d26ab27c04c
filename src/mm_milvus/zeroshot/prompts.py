"""Labels to vectors: a label is put into templates, and the vectors of the texts are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import numpy as np

from mm_milvus.arrays import Vectors
from mm_milvus.encoders.base import Encoder
from mm_milvus.errors import QueryError

TEMPLATES = tuple(
    (files("mm_milvus.zeroshot") / "templates.txt").read_text(encoding="utf-8").splitlines()
)
"""What is used where no template is given: views, qualities and kinds of pictures."""

TEXTS_A_CALL = 4096
"""So many texts are encoded at once: their vectors take some megabytes."""


def label_vectors(encoder: Encoder, labels: Sequence[str], templates: Sequence[str]) -> Vectors:
    """One vector a label: float32 (n, dim), unit rows.

    templates  texts with `{}` where the label goes

    The mean of the templates' unit vectors, scaled to unit length again: prompt ensembling in the
    space of the embeddings (Radford et al., 2021, section 3.1.4). Raises QueryError for a template
    without `{}`.
    """
    for template in templates:
        if "{}" not in template:
            raise QueryError(
                f"the template {template!r} has no {{}} for the label: write 'a photo of a {{}}'"
            )
    rows = [np.empty((0, encoder.spec.dim), np.float32)]
    size = max(1, TEXTS_A_CALL // len(templates))
    for start in range(0, len(labels), size):
        part = labels[start : start + size]
        texts = [template.replace("{}", label) for label in part for template in templates]
        vectors = encoder.encode_texts(texts).reshape(len(part), len(templates), -1)
        mean = vectors.mean(axis=1)
        rows.append(mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12))
    return np.concatenate(rows)
