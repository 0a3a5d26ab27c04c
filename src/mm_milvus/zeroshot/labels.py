"""Which label an image has: zero-shot classification."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors
from mm_milvus.encoders.base import Encoder
from mm_milvus.errors import QueryError
from mm_milvus.zeroshot.prompts import TEMPLATES, label_vectors

PREDICTIONS = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("probability", pa.float32(), nullable=False),
    ]
)
"""A row an image and label, the most probable label of an image first."""


class LabelJudge:
    """Labels in an encoder's space; images are judged against them.

    With a model that was trained with a softmax (CLIP, and all that `train` learns) the
    probabilities of an image's labels sum to 1; with one that was trained with a sigmoid (SigLIP)
    each label's stands for itself, and all may be small.
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
        """Encode the labels; one that is given twice counts once.

        templates  as `label_vectors` takes them
        top_k      how many labels of an image are told; more than there are means all

        Raises QueryError.
        """
        self.labels = list(dict.fromkeys(label.strip() for label in labels if label.strip()))
        self._spec = encoder.spec
        if not self.labels:
            raise QueryError("there is no label: give some, such as 'dress,shoes,hat'")
        if len(self.labels) == 1 and self._spec.logit_bias is None:
            raise QueryError(
                f"{self.labels[0]!r} is the only label, and would be certain: give those that an "
                "image may have instead, such as 'dress,something else'"
            )
        if top_k < 1:
            raise QueryError(f"top_k is {top_k}, and must be at least 1")
        if not templates:
            raise QueryError("there is no template: give at least '{}'")
        self.top_k = min(top_k, len(self.labels))
        self._names = pa.array(self.labels, pa.string())
        self._vectors = label_vectors(encoder, self.labels, templates)

    def probabilities(self, images: Vectors) -> NDArray[np.float32]:
        """Of each label, for unit rows (n, dim): float32 (n, labels), 0 to 1.

        Logits are cosines by the model's own scale, and its bias where it has one.
        """
        logits = self._spec.logit_scale * (images @ self._vectors.T)
        if self._spec.logit_bias is not None:
            return sigmoid(logits + self._spec.logit_bias)
        logits -= logits.max(axis=1, keepdims=True)
        weights = np.exp(logits)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)

    def rows(self, item_ids: Sequence[str], images: Vectors) -> pa.RecordBatch:
        """`PREDICTIONS` of unit rows (n, dim): `top_k` rows an image, ties in the labels' order."""
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


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """1 / (1 + exp(-logits)), without overflow: float32."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), np.float32)
