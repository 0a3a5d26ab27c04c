"""The contrastive loss: computed by hand, and its properties."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_milvus.training.loss import weighted_infonce


def rows(*values: list[float]) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.tensor(values, dtype=torch.float32), dim=-1)


def none_true(n: int) -> torch.Tensor:
    return torch.zeros(n, n, dtype=torch.bool)


def test_two_pairs_by_hand():
    # Cosines 1 on the diagonal and 0 off it: both directions give log(1 + e^(-1/t)).
    loss = weighted_infonce(rows([1, 0], [0, 1]), rows([1, 0], [0, 1]), 0.5, none_true(2), ones(2))
    assert float(loss) == pytest.approx(math.log(1 + math.exp(-2)))


def test_a_duplicate_caption_is_no_negative():
    texts = rows([1, 0], [1, 0], [0, 1])
    images = rows([1, 0], [1, 0.1], [0, 1])
    duplicates = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    masked = weighted_infonce(texts, images, 0.1, duplicates, ones(3))
    counted = weighted_infonce(texts, images, 0.1, none_true(3), ones(3))
    assert float(masked) < 0.01
    assert float(counted) > 0.3


def test_the_loss_is_the_mean_over_pairs_weighted_by_relevance():
    texts, images = rows([1, 0.2], [0.1, 1]), rows([0.9, 0.4], [0.3, 1])
    parts = [
        float(weighted_infonce(texts, images, 0.2, none_true(2), torch.tensor(weights)))
        for weights in ([1.0, 0.0], [0.0, 1.0], [3.0, 1.0])
    ]
    assert parts[2] == pytest.approx(0.75 * parts[0] + 0.25 * parts[1])


@given(seed=st.integers(0, 2**32), n=st.integers(2, 9), scale=st.floats(0.1, 50))
@settings(deadline=None)
def test_the_scale_of_relevance_and_the_order_of_pairs_do_not_matter(seed, n, scale):
    generator = torch.Generator().manual_seed(seed)
    texts, images = (
        torch.nn.functional.normalize(torch.randn(n, 4, generator=generator), dim=-1)
        for _ in range(2)
    )
    relevance = torch.rand(n, generator=generator) + 0.01
    order = torch.randperm(n, generator=generator)
    loss = weighted_infonce(texts, images, 0.07, none_true(n), relevance)
    same = weighted_infonce(
        texts[order], images[order], 0.07, none_true(n), relevance[order] * scale
    )
    assert float(same) == pytest.approx(float(loss), rel=1e-4, abs=1e-6)


def ones(n: int) -> torch.Tensor:
    return torch.ones(n)
