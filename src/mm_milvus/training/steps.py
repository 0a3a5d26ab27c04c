"""Batches of pairs, and the gradient of the loss of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mm_milvus.choices import CaptionChoice
from mm_milvus.training.loss import weighted_infonce
from mm_milvus.training.model import Trainable, documents
from mm_milvus.training.pairs import Indices, Pairs


@dataclass(frozen=True, slots=True)
class PairBatch:
    """A batch of n pairs of a document and a caption.

    Attributes:
        rows: The numbers of the documents in `Pairs`, (n,).
        views: The number of the view of each document's image, (n,).
        texts: The numbers of the captions in `Pairs.texts`, (n,).
        seed: Seed of dropout inside the model.
    """

    rows: Indices
    views: Indices
    texts: Indices
    seed: int

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.rows)

    def cut(self, size: int) -> Iterator[PairBatch]:
        """Yield the same pairs in batches of at most `size`."""
        for start in range(0, len(self), size):
            piece = slice(start, start + size)
            yield PairBatch(
                self.rows[piece], self.views[piece], self.texts[piece], self.seed + start
            )


def epoch(
    pairs: Pairs, *, captions: CaptionChoice, views: int, batch_size: int, seed: tuple[int, int]
) -> list[PairBatch]:
    """Return the batches of an epoch in random order, with a random view of each image.

    A batch of a single pair, which would have no negative example, is left out.

    Args:
        pairs: The documents.
        captions: Captions of a document: a random "one", or "all", each as a pair of its own.
        views: Number of views per image.
        batch_size: Pairs per batch.
        seed: Of the training, and of the epoch: an epoch is the same after a resumed run.
    """
    random = np.random.default_rng(seed)
    if captions == "all":
        chosen = [(row, text) for row, texts in enumerate(pairs.captions) for text in texts]
    else:
        positions = random.random(len(pairs))
        chosen = [
            (row, texts[int(position * len(texts))])
            for row, (texts, position) in enumerate(zip(pairs.captions, positions, strict=True))
        ]
    table = np.array(chosen, np.int64)[random.permutation(len(chosen))]
    view_numbers = random.integers(0, views, len(table))
    whole = PairBatch(table[:, 0], view_numbers, table[:, 1], int(random.integers(2**62)))
    return [batch for batch in whole.cut(batch_size) if len(batch) > 1]


def also_true(pairs: Pairs, batch: PairBatch) -> Tensor:
    """Return where text i of a batch is a caption of document j, or of one with its image.

    Returns:
        bool (n, n).
    """
    texts = [pairs.captions[row] for row in batch.rows]
    matches = np.zeros((len(batch), len(batch)), bool)
    holders: dict[int, list[int]] = {}
    for column, numbers in enumerate(texts):
        for number in numbers:
            holders.setdefault(number, []).append(column)
    images: dict[str, list[int]] = {}
    for column, row in enumerate(batch.rows):
        images.setdefault(pairs.images[row], []).append(column)
    for line, (text, row) in enumerate(zip(batch.texts.tolist(), batch.rows, strict=True)):
        matches[line, holders.get(text, [])] = True
        matches[line, images[pairs.images[row]]] = True
    return torch.from_numpy(matches)


class Gradient:
    """Computes the loss of a batch, and adds its gradient to that of the parameters.

    Also in pieces, the loss is that of the whole batch: the rows of all pieces are computed first
    without a graph, the loss gives the gradient of each row, and each piece is then computed again,
    with the same dropout, to propagate the gradients of its rows (GradCache; Gao et al., 2021).
    """

    def __init__(
        self,
        model: Trainable,
        pairs: Pairs,
        weights: Mapping[str, float],
        log_scale: Tensor,
        piece: int | None,
    ) -> None:
        """Prepare for batches of `pairs`.

        Args:
            model: The model that is trained.
            pairs: The training documents.
            weights: Weights of the fields of a document.
            log_scale: The logarithm of 1 / temperature, a scalar.
            piece: Pairs that go through the model together; None: the whole batch.
        """
        self._model = model
        self._pairs = pairs
        self._weights = weights
        self._log_scale = log_scale
        self._piece = piece

    def __call__(self, batch: PairBatch) -> float:
        """Return the loss of a batch, after adding its gradient."""
        if self._piece is None or self._piece >= len(batch):
            loss = self._loss(*self._rows(batch), batch)
            loss.backward()  # type: ignore[no-untyped-call]
            return float(loss.detach())
        pieces = list(batch.cut(self._piece))
        with torch.no_grad():
            parts = [self._rows(piece) for piece in pieces]
        texts, rows = (torch.cat(side).requires_grad_() for side in zip(*parts, strict=True))
        loss = self._loss(texts, rows, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = zip(_grad(texts, self._piece), _grad(rows, self._piece), strict=True)
        for piece, gradient in zip(pieces, gradients, strict=True):
            torch.autograd.backward(self._rows(piece), gradient)
        return float(loss.detach())

    def _rows(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        torch.manual_seed(batch.seed)
        texts = self._model.texts([self._pairs.texts[number] for number in batch.texts])
        rows = documents(self._model, self._pairs, batch.rows, batch.views, self._weights)
        return texts, rows

    def _loss(self, texts: Tensor, rows: Tensor, batch: PairBatch) -> Tensor:
        relevance = torch.tensor([self._pairs.relevance[row] for row in batch.rows])
        if not relevance.any():
            relevance = torch.ones_like(relevance)
        return weighted_infonce(
            texts,
            rows,
            torch.exp(-self._log_scale),
            also_true(self._pairs, batch).to(rows.device),
            relevance.to(rows.device),
        )


def _grad(rows: Tensor, size: int) -> tuple[Tensor, ...]:
    return torch.split(rows.new_zeros(0) if rows.grad is None else rows.grad, size)
