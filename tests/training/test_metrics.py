"""Recall@k, computed by hand."""

from __future__ import annotations

import pytest
import torch

from mm_milvus.training.metrics import recalls


def test_recalls_by_hand():
    # Twelve documents at increasing angles. Text 0 is at document 0 and belongs to document 2; text
    # 1 is at document 11 and belongs to all others.
    angles = torch.arange(12) * 0.1
    documents = torch.stack([angles.cos(), angles.sin()], dim=1)
    queries = documents[[0, 11]]
    captions = [[1]] * 12
    captions[2] = [0]
    values = recalls(queries, documents, captions)
    assert values["text_to_image_recall@1"] == 0.5
    assert values["text_to_image_recall@5"] == 1
    # Documents 6 to 11 are nearer to text 1, their own; so is document 2 to text 0.
    assert values["image_to_text_recall@1"] == pytest.approx(7 / 12)
    assert values["image_to_text_recall@5"] == 1
    total = sum(value for name, value in values.items() if name != "mean_recall")
    assert values["mean_recall"] == pytest.approx(total / 6)


def test_one_of_several_right_answers_is_enough():
    queries = torch.eye(3)
    documents = torch.eye(3)[[0, 1, 2, 0]]
    values = recalls(queries, documents, [[0, 1], [1], [2], [1, 2, 0]])
    assert values["text_to_image_recall@1"] == 1
    assert values["image_to_text_recall@1"] == 1
