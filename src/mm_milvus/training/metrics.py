"""How well queries and documents find each other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

CUTS = (1, 5, 10)
CHUNK = 1024


def recalls(queries: Tensor, documents: Tensor, own: Sequence[Sequence[int]]) -> dict[str, float]:
    """Recall@k in both directions, with the field's rule for several right answers: one counts.

    queries    unit rows of the distinct texts (q, dim)
    documents  unit rows (n, dim)
    own        for each document, the numbers of its queries; one at least

    Gives text_to_image_recall@k, the share of queries with a document of theirs among the k
    nearest; image_to_text_recall@k, the share of documents with a text of theirs among the k
    nearest texts; and their mean as `mean_recall`. Where each document has one text, and few texts
    share all documents, image_to_text_recall@1 is the accuracy of zero-shot classification.
    """
    found: dict[str, float] = {}
    asked: list[list[int]] = [[] for _ in range(len(queries))]
    for document, texts in enumerate(own):
        for text in texts:
            asked[text].append(document)
    for name, left, right, answers in (
        ("text_to_image", queries, documents, asked),
        ("image_to_text", documents, queries, own),
    ):
        for cut, value in zip(CUTS, _recall(left, right, answers), strict=True):
            found[f"{name}_recall@{cut}"] = value
    found["mean_recall"] = sum(found.values()) / len(found)
    return found


def _recall(left: Tensor, right: Tensor, answers: Sequence[Sequence[int]]) -> list[float]:
    hits = torch.zeros(len(CUTS), dtype=torch.float64)
    most = min(max(CUTS), len(right))
    for start in range(0, len(left), CHUNK):
        nearest = (left[start : start + CHUNK] @ right.T).topk(most, dim=1).indices.tolist()
        for row, found in enumerate(nearest, start):
            right_ones = set(answers[row])
            first = next((place for place, n in enumerate(found) if n in right_ones), most)
            hits += torch.tensor([first < cut for cut in CUTS])
    return [float(value) for value in hits / max(len(left), 1)]
