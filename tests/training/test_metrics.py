"""Recall@k, by hand."""

from __future__ import annotations

import pytest
import torch

from mm_milvus.training.metrics import recalls


def test_recalls_by_hand():
    # Twelve documents on a line of angles; text 0 belongs to the 3rd nearest, text 1 to its own.
    angles = torch.arange(12) * 0.1
    documents = torch.stack([angles.cos(), angles.sin()], dim=1)
    queries = documents[[0, 11]]
    own = [[1]] * 12
    own[2] = [0]
    found = recalls(queries, documents, own)
    assert found["text_to_image_recall@1"] == 0.5
    assert found["text_to_image_recall@5"] == 1
    # The documents nearer to text 1 are numbers 6 to 11; number 2 is nearer to text 0, its own.
    assert found["image_to_text_recall@1"] == pytest.approx(7 / 12)
    assert found["image_to_text_recall@5"] == 1
    values = [value for name, value in found.items() if name != "mean_recall"]
    assert found["mean_recall"] == pytest.approx(sum(values) / 6)


def test_one_right_answer_of_several_counts():
    queries = torch.eye(3)
    documents = torch.eye(3)[[0, 1, 2, 0]]
    found = recalls(queries, documents, [[0, 1], [1], [2], [1, 2, 0]])
    assert found["text_to_image_recall@1"] == 1
    assert found["image_to_text_recall@1"] == 1
