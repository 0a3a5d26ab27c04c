"""Known pairs of a dataset: an item's image and captions are the right answers to each other.

In: the stored vectors of a dataset. Out: one `Task` per direction, with queries and their relevant
documents:

    text_to_image   a caption searches the images; relevant: the items with this caption
    image_to_text   an image searches the captions; relevant: its own
    text_to_text    a caption searches the captions; relevant: the other captions of its items
    image_to_image  an image searches the images; relevant: those with its label, or those that
                    the judgements name

Equal captions are one document and one query, however many items have them. Nothing is an answer to
itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mm_milvus.arrays import Vectors
from mm_milvus.evaluation.judgements import Qrels
from mm_milvus.evaluation.metrics import Grades
from mm_milvus.evaluation.sampling import sample_numbers
from mm_milvus.evaluation.stored import StoredList, StoredVectors
from mm_milvus.schema import Modality

TEXT_TO_IMAGE, IMAGE_TO_TEXT = "text_to_image", "image_to_text"
TEXT_TO_TEXT, IMAGE_TO_IMAGE = "text_to_text", "image_to_image"


@dataclass(frozen=True, slots=True)
class Documents:
    """What a list is searched for: its items, or its distinct captions.

    Attributes:
        ids: item_ids or captions, sorted; a document's number is its position here.
        rows: Per document, the row of its vector in the list: int64 (n,).
    """

    ids: list[str]
    rows: NDArray[np.int64]

    def numbers(self) -> dict[str, int]:
        """Return the number of each id."""
        return {name: number for number, name in enumerate(self.ids)}


@dataclass(frozen=True, slots=True)
class Task:
    """The queries of one direction, with their relevant documents.

    Attributes:
        direction: Such as `text_to_image`.
        modality: The list that is searched.
        documents: The documents of that list.
        query_ids: Captions or item_ids.
        vectors: The queries' vectors: float32 (q, dim).
        relevant: Per query its relevant documents, at least one.
        excluded: Per query the document that is the query itself, to be left out of its ranking;
            -1 where there is none: int64 (q,).
    """

    direction: str
    modality: Modality
    documents: Documents
    query_ids: list[str]
    vectors: Vectors
    relevant: list[Grades]
    excluded: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class QueryPool:
    """The possible queries of a direction.

    Attributes:
        direction: Such as `text_to_image`.
        documents: The items or captions that queries are taken from.
        vectors: The list that has their vectors.
        answered: Numbers of those that have a relevant document.
        relevant: From a number to its relevant documents; called for the sampled ones only.
    """

    direction: str
    documents: Documents
    vectors: StoredList
    answered: Sequence[int]
    relevant: Callable[[int], Grades | set[int]]


def known_pairs(stored: StoredVectors, sample: int, seed: int) -> list[Task]:
    """Return the tasks that captions give; directions without a pair are left out.

    Args:
        stored: All vectors of the dataset.
        sample: Maximum number of queries per direction; of more, a random sample is taken.
        seed: Seed of the sample.
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

    with_siblings = {
        caption for group in captions_of.values() if len(group) > 1 for caption in group
    }
    from_text = QueryPool(
        TEXT_TO_IMAGE, captions, stored.texts, list(items_of), items_of.__getitem__
    )
    from_image = QueryPool(
        IMAGE_TO_TEXT, images, stored.images, list(captions_of), captions_of.__getitem__
    )
    among_texts = QueryPool(TEXT_TO_TEXT, captions, stored.texts, list(with_siblings), siblings)
    tasks = [
        _task(from_text, Modality.IMAGE, images, sample, seed),
        _task(from_image, Modality.TEXT, captions, sample, seed),
        _task(among_texts, Modality.TEXT, captions, sample, seed),
    ]
    return [task for task in tasks if task.query_ids]


def same_label(stored: StoredVectors, sample: int, seed: int) -> list[Task]:
    """Return the task where images search images, and those with the same label are relevant.

    Args:
        stored: All vectors of the dataset, with labels.
        sample: As in `known_pairs`.
        seed: As in `known_pairs`.

    Returns:
        One task, or none where no two images have the same label.
    """
    images = documents_of(stored.images.item_ids)
    labels = [repr(stored.images.labels[row]) for row in images.rows]
    by_label: dict[str, set[int]] = defaultdict(set)
    for number, label in enumerate(labels):
        if label != repr(None):
            by_label[label].add(number)
    answered = [number for group in by_label.values() if len(group) > 1 for number in group]
    pool = QueryPool(
        IMAGE_TO_IMAGE,
        images,
        stored.images,
        answered,
        lambda number: by_label[labels[number]] - {number},
    )
    task = _task(pool, Modality.IMAGE, images, sample, seed)
    return [task] if task.query_ids else []


def judged_images(stored: StoredVectors, qrels: Qrels, sample: int, seed: int) -> list[Task]:
    """Return the task where images search images, and the judgements' query_ids are item_ids.

    Args:
        stored: All vectors of the dataset.
        qrels: Judgements between items.
        sample: As in `known_pairs`.
        seed: As in `known_pairs`.

    Returns:
        One task, or none where the judgements name no pair of stored images.
    """
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
    answered = [number for number, grades in relevant.items() if grades]
    pool = QueryPool(IMAGE_TO_IMAGE, images, stored.images, answered, relevant.__getitem__)
    task = _task(pool, Modality.IMAGE, images, sample, seed)
    return [task] if task.query_ids else []


def documents_of(ids: Sequence[str]) -> Documents:
    """Return the distinct ids of a list's rows, each with its first row."""
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        first.setdefault(name, row)
    names = sorted(first)
    return Documents(names, np.array([first[name] for name in names], dtype=np.int64))


def _task(
    pool: QueryPool, modality: Modality, documents: Documents, sample: int, seed: int
) -> Task:
    answered = sorted(pool.answered)
    chosen = [answered[n] for n in sample_numbers(len(answered), sample, seed)]
    numbers = np.array(chosen, dtype=np.int64)
    return Task(
        direction=pool.direction,
        modality=modality,
        documents=documents,
        query_ids=[pool.documents.ids[number] for number in chosen],
        vectors=np.asarray(pool.vectors.vectors[pool.documents.rows[numbers]]),
        relevant=[_graded(pool.relevant(number)) for number in chosen],
        excluded=numbers if pool.documents is documents else np.full(len(chosen), -1),
    )


def _graded(relevant: Grades | set[int]) -> Grades:
    """Give the documents of a set, which are equally relevant, the grade 1."""
    return dict.fromkeys(sorted(relevant), 1) if isinstance(relevant, set) else relevant
