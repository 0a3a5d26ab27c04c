"""Pairs of documents and captions, as a training and its validation see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from mm_milvus.choices import IMAGE_FIELD
from mm_milvus.errors import SourceError
from mm_milvus.training.documents import Document
from mm_milvus.training.options import TrainOptions

Indices = NDArray[np.int64]


@dataclass(slots=True)
class Pairs:
    """Documents with their captions, one entry per document; each distinct text is kept once.

    Attributes:
        item_ids: The item of each document.
        images: The hash of each document's image.
        texts: The distinct texts.
        captions: The numbers of each document's captions in `texts`, at least one.
        fields: For each text field, the number of each document's text in `texts`; -1 where the
            document has none.
        relevance: The weight of each document's pairs.
    """

    item_ids: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    captions: list[list[int]] = field(default_factory=list)
    fields: dict[str, list[int]] = field(default_factory=dict)
    relevance: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.item_ids)

    def select(self, rows: Sequence[int]) -> Pairs:
        """Return some of the documents, with all texts."""
        return Pairs(
            item_ids=[self.item_ids[row] for row in rows],
            images=[self.images[row] for row in rows],
            texts=self.texts,
            captions=[self.captions[row] for row in rows],
            fields={name: [texts[row] for row in rows] for name, texts in self.fields.items()},
            relevance=[self.relevance[row] for row in rows],
        )


class PairsBuilder:
    """Collects documents into pairs.

    Attributes:
        pairs: The documents so far.
    """

    def __init__(self, options: TrainOptions) -> None:
        """Start with no documents, of the fields that the options name."""
        self.pairs = Pairs(fields={name: [] for name in options.document if name != IMAGE_FIELD})
        self._numbers: dict[str, int] = {}

    def add(self, document: Document) -> None:
        """Append a document."""
        pairs = self.pairs
        pairs.item_ids.append(document.item_id)
        pairs.images.append(document.image_hash)
        pairs.captions.append([self._number(text) for text in document.captions])
        pairs.relevance.append(document.relevance)
        for name, texts in pairs.fields.items():
            text = document.fields.get(name)
            texts.append(-1 if text is None else self._number(text))

    def _number(self, text: str) -> int:
        if text not in self._numbers:
            self._numbers[text] = len(self._numbers)
            self.pairs.texts.append(text)
        return self._numbers[text]


def split(pairs: Pairs, held_out: tuple[float, float], seed: int) -> tuple[Pairs, Pairs, Pairs]:
    """Split documents into training, validation and test.

    The side of a document depends on its image and the seed alone: no image is on two sides,
    however often it is in the data, and a document stays on its side when others are added.

    Args:
        pairs: All documents.
        held_out: The shares of validation and test, each 0 to 1.
        seed: Another seed gives another split.

    Returns:
        The documents of training, validation and test.
    """
    validation, test = held_out
    sides: tuple[list[int], list[int], list[int]] = ([], [], [])
    for row, image in enumerate(pairs.images):
        digest = blake2b(f"{seed}\0{image}".encode(), digest_size=8).digest()
        position = int.from_bytes(digest) / 2**64
        sides[1 if position < validation else 2 if position < validation + test else 0].append(row)
    return pairs.select(sides[0]), pairs.select(sides[1]), pairs.select(sides[2])


def check_size(training: Pairs, validation: Pairs) -> None:
    """Raise SourceError when there are too few documents to learn from, or to validate on."""
    if len(training) < 2 or len({text for texts in training.captions for text in texts}) < 2:
        raise SourceError(
            f"{len(training)} items with captions are left to train on: it takes at least two, "
            "with captions that differ"
        )
    if not len(validation):
        raise SourceError(
            "no item is left for validation: give more items, a larger share (`held_out`), or "
            "another dataset (`validation`)"
        )
