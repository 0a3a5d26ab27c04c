"""Zero-shot classification: probabilities of labels, from the vectors of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors
from mm_milvus.encoders.base import Encoder
from mm_milvus.errors import OptionError

PREDICTIONS = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("probability", pa.float32(), nullable=False),
    ]
)
"""One row per image and label, the most probable label of an image first."""

TEMPLATES = tuple(
    (files("mm_milvus.zeroshot") / "templates.txt").read_text(encoding="utf-8").splitlines()
)
"""The default templates: views, qualities and kinds of pictures."""

TEXTS_PER_CALL = 4096
"""Texts per encoder call: their vectors take some megabytes."""


class LabelJudge:
    """Judges images against labels in the vector space of an encoder.

    With a model that was trained with a softmax (CLIP, and everything that `train` makes), the
    probabilities of an image's labels sum to 1. With one that was trained with a sigmoid (SigLIP),
    each label has a probability of its own, and all may be small.

    Attributes:
        schema: `PREDICTIONS`.
        labels: The distinct labels, without white space at their ends.
        top_k: Labels per image in the findings; at most the number of labels.
    """

    schema = PREDICTIONS

    def __init__(
        self,
        encoder: Encoder,
        labels: Sequence[str],
        *,
        templates: Sequence[str] = TEMPLATES,
        top_k: int = 1,
    ) -> None:
        """Encode the labels.

        Args:
            encoder: Encodes the labels here, and the images elsewhere.
            labels: Repeated and empty labels are left out.
            templates: As for `label_vectors`.
            top_k: Labels per image in the findings; at least 1.

        Raises:
            OptionError: When labels, templates or `top_k` cannot be used.
        """
        self.labels = list(dict.fromkeys(label.strip() for label in labels if label.strip()))
        self._spec = encoder.spec
        if not self.labels:
            raise OptionError("there is no label: give some, such as 'dress,shoes,hat'")
        if len(self.labels) == 1 and self._spec.logit_bias is None:
            raise OptionError(
                f"{self.labels[0]!r} is the only label, and would be certain: give those that an "
                "image may have instead, such as 'dress,something else'"
            )
        if top_k < 1:
            raise OptionError(f"`top_k` is {top_k}, and must be at least 1")
        if not templates:
            raise OptionError("there is no template: give at least '{}'")
        self.top_k = min(top_k, len(self.labels))
        self._names = pa.array(self.labels, pa.string())
        self._vectors = label_vectors(encoder, self.labels, templates)

    def probabilities(self, images: Vectors) -> NDArray[np.float32]:
        """Return the probability of each label, float32 (n, labels), 0 to 1.

        Logits are the cosines, times the model's logit scale, plus its logit bias if it has one.

        Args:
            images: Unit rows (n, dim).
        """
        logits = self._spec.logit_scale * (images @ self._vectors.T)
        if self._spec.logit_bias is not None:
            return sigmoid(logits + self._spec.logit_bias)
        logits -= logits.max(axis=1, keepdims=True)
        weights = np.exp(logits)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)

    def rows(self, item_ids: Sequence[str], images: Vectors) -> pa.RecordBatch:
        """Return `top_k` rows of `PREDICTIONS` per image; ties are in the order of the labels.

        Args:
            item_ids: The n items.
            images: Their unit rows, (n, dim).
        """
        probabilities = self.probabilities(images)
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, : self.top_k]
        return pa.RecordBatch.from_arrays(
            [
                pa.array(np.repeat(np.array(item_ids, object), self.top_k), pa.string()),
                self._names.take(pa.array(best.ravel())),
                pa.array(np.take_along_axis(probabilities, best, axis=1).ravel(), pa.float32()),
            ],
            schema=self.schema,
        )


def label_vectors(encoder: Encoder, labels: Sequence[str], templates: Sequence[str]) -> Vectors:
    """Encode each label as one vector: float32 (n, dim), unit rows.

    A label is put into all templates; its vector is the mean of their unit vectors, scaled to unit
    length: prompt ensembling in the embedding space (Radford et al., 2021, section 3.1.4).

    Args:
        encoder: Encodes the prompts.
        labels: The n labels.
        templates: Texts with `{}` for the label.

    Raises:
        OptionError: When a template has no `{}`.
    """
    for template in templates:
        if "{}" not in template:
            raise OptionError(
                f"the template {template!r} has no {{}} for the label: write 'a photo of a {{}}'"
            )
    rows = [np.empty((0, encoder.spec.dim), np.float32)]
    size = max(1, TEXTS_PER_CALL // len(templates))
    for start in range(0, len(labels), size):
        part = labels[start : start + size]
        texts = [template.replace("{}", label) for label in part for template in templates]
        vectors = encoder.encode_texts(texts).reshape(len(part), len(templates), -1)
        mean = vectors.mean(axis=1)
        rows.append(mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12))
    return np.concatenate(rows)


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(-logits)) as float32, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), np.float32)
