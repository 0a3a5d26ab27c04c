"""Batches of pairs, and the gradient of a batch's loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mm_milvus.training.loss import weighted_infonce
from mm_milvus.training.model import Trainable, documents
from mm_milvus.training.pairs import Indices, Pairs


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Pairs: the numbers of documents and of texts in `Pairs`, and the views that are shown.

    seed  of what is random inside the model (dropout)
    """

    rows: Indices
    views: Indices
    texts: Indices
    seed: int

    def __len__(self) -> int:
        return len(self.rows)

    def cut(self, size: int) -> Iterator[PairBatch]:
        """The same in pieces of at most `size` pairs."""
        for start in range(0, len(self), size):
            piece = slice(start, start + size)
            yield PairBatch(
                self.rows[piece], self.views[piece], self.texts[piece], self.seed + start
            )


def epoch(
    pairs: Pairs, *, captions: str, views: int, batch_size: int, seed: tuple[int, int]
) -> list[PairBatch]:
    """An epoch's batches in random order, with a random view of each image.

    captions  "one" at random of each document, or "all", each a pair of its own
    seed      of the training and of the epoch: an epoch is the same however the run got to it

    A batch that would have no other pair to tell one from is left out.
    """
    random = np.random.default_rng(seed)
    if captions == "all":
        found = [(row, text) for row, texts in enumerate(pairs.captions) for text in texts]
    else:
        places = random.random(len(pairs))
        found = [
            (row, texts[int(place * len(texts))])
            for row, (texts, place) in enumerate(zip(pairs.captions, places, strict=True))
        ]
    table = np.array(found, np.int64)[random.permutation(len(found))]
    shown = random.integers(0, views, len(table))
    whole = PairBatch(table[:, 0], shown, table[:, 1], int(random.integers(2**62)))
    return [batch for batch in whole.cut(batch_size) if len(batch) > 1]


def also_true(pairs: Pairs, batch: PairBatch) -> Tensor:
    """Bool (n, n): text i of the batch is a caption of document j, or of a copy of it."""
    texts = [pairs.captions[row] for row in batch.rows]
    found = np.zeros((len(batch), len(batch)), bool)
    holders: dict[int, list[int]] = {}
    for column, numbers in enumerate(texts):
        for number in numbers:
            holders.setdefault(number, []).append(column)
    images: dict[str, list[int]] = {}
    for column, row in enumerate(batch.rows):
        images.setdefault(pairs.images[row], []).append(column)
    for line, (text, row) in enumerate(zip(batch.texts.tolist(), batch.rows, strict=True)):
        found[line, holders.get(text, [])] = True
        found[line, images[pairs.images[row]]] = True
    return torch.from_numpy(found)


class Gradient:
    """Leaves the gradient of a batch's loss in the parameters.

    With pieces, the loss is still that of the whole batch: the rows of all pieces are had first
    without a graph, the loss gives the gradient of each row, and each piece then runs again, with
    the same dropout, and passes its rows' gradients on (GradCache; Gao et al., 2021).
    """

    def __init__(
        self,
        model: Trainable,
        pairs: Pairs,
        weights: Mapping[str, float],
        log_scale: Tensor,
        piece: int | None,
    ) -> None:
        """`log_scale` is the logarithm of 1 / temperature; `piece` None: the batch at once."""
        self._model = model
        self._pairs = pairs
        self._weights = weights
        self._log_scale = log_scale
        self._piece = piece

    def __call__(self, batch: PairBatch) -> float:
        """The loss of a batch; adds its gradient."""
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
        shown = documents(self._model, self._pairs, batch.rows, batch.views, self._weights)
        return texts, shown

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
