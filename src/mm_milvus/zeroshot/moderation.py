"""Which categories of a policy an image falls into."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors
from mm_milvus.encoders.base import Encoder
from mm_milvus.zeroshot.labels import sigmoid
from mm_milvus.zeroshot.policy import Policy

FINDINGS = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("probability", pa.float32(), nullable=False),
        pa.field("flagged", pa.bool_(), nullable=False),
    ]
)
"""A row an image and category, the most probable category of an image first."""


class PolicyJudge:
    """A policy in an encoder's space; images are judged by it."""

    schema = FINDINGS

    def __init__(self, encoder: Encoder, policy: Policy) -> None:
        """Encode the prompts."""
        self.policy = policy
        self._scale = encoder.spec.logit_scale
        self._unsafe = [encoder.encode_texts(each.unsafe) for each in policy.categories]
        self._safe = [encoder.encode_texts(each.safe) for each in policy.categories]
        self._names = pa.array([each.name for each in policy.categories], pa.string())
        self._thresholds = np.array([each.threshold for each in policy.categories], np.float32)

    def probabilities(self, images: Vectors) -> NDArray[np.float32]:
        """Of each category, for unit rows (n, dim): float32 (n, categories), 0 to 1.

        The softmax of two logits: that of the unsafe prompt which is nearest, and that of the
        nearest safe one. So the number of prompts on a side does not count, and a model's bias
        falls out.
        """
        margins = [
            (images @ unsafe.T).max(axis=1) - (images @ safe.T).max(axis=1)
            for unsafe, safe in zip(self._unsafe, self._safe, strict=True)
        ]
        return sigmoid(self._scale * np.stack(margins, axis=1))

    def rows(self, item_ids: Sequence[str], images: Vectors) -> pa.RecordBatch:
        """`FINDINGS` of unit rows (n, dim): every category of each image."""
        probabilities = self.probabilities(images)
        order = np.argsort(-probabilities, axis=1, kind="stable")
        ranked = np.take_along_axis(probabilities, order, axis=1)
        return pa.RecordBatch.from_arrays(
            [
                pa.array(np.repeat(np.array(item_ids, object), order.shape[1]), pa.string()),
                self._names.take(pa.array(order.ravel())),
                pa.array(ranked.ravel(), pa.float32()),
                pa.array((ranked >= self._thresholds[order]).ravel(), pa.bool_()),
            ],
            schema=self.schema,
        )
