"""The contrastive losses."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def weighted_infonce(
    queries: Tensor,
    documents: Tensor,
    temperature: Tensor | float,
    also_true: Tensor,
    relevance: Tensor,
) -> Tensor:
    """Symmetric InfoNCE over a batch of pairs, each weighed by its relevance.

    queries, documents  unit rows (n, dim); row i of one belongs to row i of the other
    temperature         the cosine is divided by it
    also_true           bool (n, n): where query i fits document j as well, so that it is neither
                        positive nor negative; the diagonal counts as false
    relevance           float (n,), not negative, not all 0; all 1 gives the loss of CLIP

    The mean, by relevance, of -log softmax in both directions (Radford et al., 2021), with the
    weights of generalised contrastive learning (Zhu et al., 2024).
    """
    logits = queries @ documents.T / temperature
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(also_true & ~own, -torch.inf)
    target = torch.arange(len(logits), device=logits.device)
    losses = [cross_entropy(rows, target, reduction="none") for rows in (logits, logits.T)]
    weights = relevance / relevance.sum()
    return ((losses[0] + losses[1]) / 2 * weights).sum()
