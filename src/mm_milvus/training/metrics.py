"""Recall of texts and documents in both directions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

CUTS = (1, 5, 10)
CHUNK = 1024
"""Rows whose similarities to all others are computed at a time."""


def recalls(
    queries: Tensor, documents: Tensor, captions: Sequence[Sequence[int]]
) -> dict[str, float]:
    """Return recall@k in both directions, for the k in `CUTS`.

    Of several right answers, one among the k nearest is enough, as is usual for this metric. Where
    each document has one caption, and few captions cover all documents, image_to_text_recall@1 is
    the accuracy of zero-shot classification.

    Args:
        queries: Unit rows of the distinct captions, (q, dim).
        documents: Unit rows, (n, dim).
        captions: For each document, the rows of its captions in `queries`; at least one.

    Returns:
        `text_to_image_recall@k`, the share of captions with one of their documents among the k
        nearest; `image_to_text_recall@k`, the share of documents with one of their captions among
        the k nearest; and the mean of all as `mean_recall`. Each is 0 to 1.
    """
    result: dict[str, float] = {}
    documents_of: list[list[int]] = [[] for _ in range(len(queries))]
    for document, texts in enumerate(captions):
        for text in texts:
            documents_of[text].append(document)
    for name, left, right, answers in (
        ("text_to_image", queries, documents, documents_of),
        ("image_to_text", documents, queries, captions),
    ):
        for cut, value in zip(CUTS, _recalls(left, right, answers), strict=True):
            result[f"{name}_recall@{cut}"] = value
    result["mean_recall"] = sum(result.values()) / len(result)
    return result


def _recalls(left: Tensor, right: Tensor, answers: Sequence[Sequence[int]]) -> list[float]:
    hits = torch.zeros(len(CUTS), dtype=torch.float64)
    depth = min(max(CUTS), len(right))
    for start in range(0, len(left), CHUNK):
        nearest = (left[start : start + CHUNK] @ right.T).topk(depth, dim=1).indices.tolist()
        for row, ranking in enumerate(nearest, start):
            right_answers = set(answers[row])
            rank = next((rank for rank, n in enumerate(ranking) if n in right_answers), depth)
            hits += torch.tensor([rank < cut for cut in CUTS])
    return [float(value) for value in hits / max(len(left), 1)]
