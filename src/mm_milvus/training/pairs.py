"""What is trained on: documents, their captions, and what of both the towers are to be shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_milvus.choices import IMAGE_FIELD
from mm_milvus.errors import SourceError
from mm_milvus.keys import content_hash
from mm_milvus.rejects import Reject
from mm_milvus.sources.base import Source
from mm_milvus.training.options import TrainOptions

Indices = NDArray[np.int64]


@dataclass(slots=True)
class Pairs:
    """A row a document; texts are kept once, whatever uses them.

    item_ids   of the documents
    images     the hash of each document's image
    texts      the distinct texts
    captions   the numbers of each document's captions, one at least
    fields     of each text field of a document, the number of its text in each; -1: it has none
    relevance  the weight of each document's pairs
    """

    item_ids: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    captions: list[list[int]] = field(default_factory=list)
    fields: dict[str, list[int]] = field(default_factory=dict)
    relevance: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.item_ids)

    def chosen(self, rows: Sequence[int]) -> Pairs:
        """These documents alone; the texts stay all."""
        return Pairs(
            item_ids=[self.item_ids[row] for row in rows],
            images=[self.images[row] for row in rows],
            texts=self.texts,
            captions=[self.captions[row] for row in rows],
            fields={name: [texts[row] for row in rows] for name, texts in self.fields.items()},
            relevance=[self.relevance[row] for row in rows],
        )


@dataclass(frozen=True, slots=True)
class Document:
    """A record of a source that can be trained on."""

    item_id: str
    image: bytes
    image_hash: str
    captions: list[str]
    fields: dict[str, str]
    relevance: float


class PairsBuilder:
    """Collects documents; their texts get numbers."""

    def __init__(self, options: TrainOptions) -> None:
        """The options name the fields."""
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


def read_documents(source: Source, options: TrainOptions) -> Iterator[list[Document | Reject]]:
    """The records of a source, a batch at a time."""
    for batch in source.batches():
        yield [_document(record, options) for record in batch.to_pylist()]


def _document(record: dict[str, Any], options: TrainOptions) -> Document | Reject:
    item_id: str = record["item_id"]
    if record["rejected"] is not None:
        return Reject(item_id, "read", record["rejected"])
    if not record["captions"]:
        return Reject(item_id, "read", "it has no caption, so there is no pair to learn from")
    metadata = json.loads(record["metadata"])
    relevance = 1.0
    if options.relevance is not None:
        value = metadata.get(options.relevance)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            reason = f"its relevance {options.relevance!r} is {value!r}, not a number from 0 upward"
            return Reject(item_id, "read", reason)
        relevance = float(value)
    texts = {name: metadata.get(name) for name in options.document if name != IMAGE_FIELD}
    return Document(
        item_id=item_id,
        image=record["image"],
        image_hash=content_hash(record["image"]),
        captions=record["captions"],
        fields={name: text for name, text in texts.items() if isinstance(text, str) and text},
        relevance=relevance,
    )


def split(pairs: Pairs, held_out: tuple[float, float], seed: int) -> tuple[Pairs, Pairs, Pairs]:
    """Documents for training, validation and test, in these shares.

    The side of a document follows from its image and the seed alone: no image is on two sides,
    however often it is in the data, and a document stays on its side when others come.
    """
    validation, test = held_out
    sides: tuple[list[int], list[int], list[int]] = ([], [], [])
    for row, image in enumerate(pairs.images):
        digest = blake2b(f"{seed}\0{image}".encode(), digest_size=8).digest()
        place = int.from_bytes(digest) / 2**64
        sides[1 if place < validation else 2 if place < validation + test else 0].append(row)
    return pairs.chosen(sides[0]), pairs.chosen(sides[1]), pairs.chosen(sides[2])


def check_size(training: Pairs, validation: Pairs) -> None:
    """Refuse what cannot be learned from, or judged on, with a `SourceError`."""
    if len(training) < 2 or len({text for texts in training.captions for text in texts}) < 2:
        raise SourceError(
            f"{len(training)} items with captions are left to train on: it takes two at least, "
            "with captions that differ"
        )
    if not len(validation):
        raise SourceError(
            "no item is left for validation: give more items, a larger share, or a data set of "
            "its own (--validation)"
        )
