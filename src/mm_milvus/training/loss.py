"""The contrastive loss."""

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
    """Return the symmetric InfoNCE of a batch of pairs, weighted by relevance: a scalar.

    This is the weighted mean of -log softmax in both directions (Radford et al., 2021), with the
    weights of generalised contrastive learning (Zhu et al., 2024).

    Args:
        queries: Unit rows (n, dim).
        documents: Unit rows (n, dim); document i is the positive example of query i.
        temperature: Cosines are divided by it.
        also_true: bool (n, n): True where query i matches document j as well, so that the pair is
            neither positive nor negative. The diagonal is ignored.
        relevance: float (n,), not negative and not all 0; all 1 gives the loss of CLIP.
    """
    logits = queries @ documents.T / temperature
    diagonal = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(also_true & ~diagonal, -torch.inf)
    target = torch.arange(len(logits), device=logits.device)
    losses = [cross_entropy(rows, target, reduction="none") for rows in (logits, logits.T)]
    weights = relevance / relevance.sum()
    return ((losses[0] + losses[1]) / 2 * weights).sum()
