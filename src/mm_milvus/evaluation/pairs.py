"""The known pairs of a data set: what belongs together is the right answer to each other.

    text_to_image   a caption searches the images; relevant: the items that have this caption
    image_to_text   an image searches the captions; relevant: its own
    text_to_text    a caption searches the captions; relevant: the others of its items
    image_to_image  an image searches the images; relevant: those with its label, or those that
                    the judgements name

Equal captions are one document and one query, however many items have them. Nothing is its own
answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mm_milvus.evaluation.judged import Qrels
from mm_milvus.evaluation.metrics import Grades
from mm_milvus.evaluation.stored import StoredList, StoredVectors
from mm_milvus.schema import Modality

TEXT_TO_IMAGE, IMAGE_TO_TEXT = "text_to_image", "image_to_text"
TEXT_TO_TEXT, IMAGE_TO_IMAGE = "text_to_text", "image_to_image"


@dataclass(frozen=True, slots=True)
class Documents:
    """What a list is searched for: its items, or its distinct captions.

    ids   sorted; a document's number is its place here
    rows  of each document the row of its vector
    """

    ids: list[str]
    rows: NDArray[np.int64]

    def numbers(self) -> dict[str, int]:
        """The number of each id."""
        return {name: number for number, name in enumerate(self.ids)}


@dataclass(frozen=True, slots=True)
class Task:
    """Queries of one direction, with their relevant documents.

    modality   the list that is searched
    documents  of that list
    query_ids  captions or item_ids
    vectors    of the queries: float32 (q, dim)
    relevant   of each query the relevant documents, one at least
    own        of each query the document that it is itself; -1 where it is none
    """

    direction: str
    modality: Modality
    documents: Documents
    query_ids: list[str]
    vectors: NDArray[np.float32]
    relevant: list[Grades]
    own: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Queries:
    """What may ask.

    known     the items or captions that queries are taken from, by number
    source    the list that has their vectors
    able      the numbers of those with a right answer
    relevant  the right answers to a number, sought for the sampled ones only
    """

    direction: str
    known: Documents
    source: StoredList
    able: Sequence[int]
    relevant: Callable[[int], Grades | set[int]]


def known_pairs(stored: StoredVectors, sample: int, seed: int) -> list[Task]:
    """The tasks that captions give; directions without a single pair are left out.

    sample  of more queries than this, so many are drawn
    """
    images, captions = documents_of(stored.images.item_ids), documents_of(stored.texts.captions)
    image_numbers, caption_numbers = images.numbers(), captions.numbers()
    items_of: dict[int, set[int]] = defaultdict(set)
    captions_of: dict[int, set[int]] = defaultdict(set)
    for item_id, caption in zip(stored.texts.item_ids, stored.texts.captions, strict=True):
        # An item whose image is not stored has no number.
        if (item := image_numbers.get(item_id)) is not None:
            items_of[caption_numbers[caption]].add(item)
            captions_of[item].add(caption_numbers[caption])

    def siblings(caption: int) -> set[int]:
        return set().union(*(captions_of[item] for item in items_of[caption])) - {caption}

    together = {caption for found in captions_of.values() if len(found) > 1 for caption in found}
    tasks = [
        _task(
            Queries(TEXT_TO_IMAGE, captions, stored.texts, list(items_of), items_of.__getitem__),
            *(Modality.IMAGE, images, sample, seed),
        ),
        _task(
            Queries(
                IMAGE_TO_TEXT, images, stored.images, list(captions_of), captions_of.__getitem__
            ),
            *(Modality.TEXT, captions, sample, seed),
        ),
        _task(
            Queries(TEXT_TO_TEXT, captions, stored.texts, list(together), siblings),
            *(Modality.TEXT, captions, sample, seed),
        ),
    ]
    return [task for task in tasks if task.query_ids]


def same_label(stored: StoredVectors, sample: int, seed: int) -> list[Task]:
    """Images that search images, where those with the same label are relevant."""
    images = documents_of(stored.images.item_ids)
    labels = [repr(stored.images.labels[row]) for row in images.rows]
    alike: dict[str, set[int]] = defaultdict(set)
    for number, label in enumerate(labels):
        if label != repr(None):
            alike[label].add(number)
    able = [number for found in alike.values() if len(found) > 1 for number in found]
    queries = Queries(
        *(IMAGE_TO_IMAGE, images, stored.images, able),
        lambda number: alike[labels[number]] - {number},
    )
    task = _task(queries, Modality.IMAGE, images, sample, seed)
    return [task] if task.query_ids else []


def judged_images(stored: StoredVectors, qrels: Qrels, sample: int, seed: int) -> list[Task]:
    """Images that search images, where the query_ids of judgements are item_ids."""
    images = documents_of(stored.images.item_ids)
    numbers = images.numbers()
    relevant = {
        numbers[query_id]: {
            numbers[item_id]: grade
            for item_id, grade in grades.items()
            if grade > 0 and item_id in numbers and item_id != query_id
        }
        for query_id, grades in qrels.items()
        if query_id in numbers
    }
    able = [number for number, found in relevant.items() if found]
    queries = Queries(IMAGE_TO_IMAGE, images, stored.images, able, relevant.__getitem__)
    task = _task(queries, Modality.IMAGE, images, sample, seed)
    return [task] if task.query_ids else []


def documents_of(ids: Sequence[str]) -> Documents:
    """The distinct ids of a list's rows, each with its first row."""
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        first.setdefault(name, row)
    names = sorted(first)
    return Documents(names, np.array([first[name] for name in names], dtype=np.int64))


def drawn(count: int, sample: int, seed: int) -> list[int]:
    """All of `count` numbers, or a sample of them without repeats, in order."""
    if count <= sample:
        return list(range(count))
    generator = np.random.default_rng(seed)
    return sorted(generator.choice(count, sample, replace=False).tolist())


def _task(
    queries: Queries, modality: Modality, documents: Documents, sample: int, seed: int
) -> Task:
    able = sorted(queries.able)
    chosen = [able[place] for place in drawn(len(able), sample, seed)]
    numbers = np.array(chosen, dtype=np.int64)
    return Task(
        direction=queries.direction,
        modality=modality,
        documents=documents,
        query_ids=[queries.known.ids[number] for number in chosen],
        vectors=np.asarray(queries.source.vectors[queries.known.rows[numbers]]),
        relevant=[_graded(queries.relevant(number)) for number in chosen],
        own=numbers if queries.known is documents else np.full(len(chosen), -1),
    )


def _graded(found: Grades | set[int]) -> Grades:
    """A set of documents is relevant to the same degree."""
    return dict.fromkeys(sorted(found), 1) if isinstance(found, set) else found
