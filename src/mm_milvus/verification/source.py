"""The rows of the source, compared with the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mm_milvus.embeddings.accept import accept_embeddings
from mm_milvus.embeddings.parts import Embeddings
from mm_milvus.errors import ImageError
from mm_milvus.images.decoding import decode
from mm_milvus.images.options import DecodeOptions
from mm_milvus.pipeline.accept import accept_items
from mm_milvus.pipeline.batch import Batch, Item
from mm_milvus.pipeline.plan import SeenKeys
from mm_milvus.sources.base import Source
from mm_milvus.sources.opened import decoding_of
from mm_milvus.store.collection import Collection
from mm_milvus.store.dataset import Dataset
from mm_milvus.verification.report import ProblemKind, VerifyReport
from mm_milvus.verification.sample import Reservoir

Hashes = dict[str, tuple[str, str]]
"""Content hash and detail hash by primary key."""


def compare(
    source: Source | Embeddings,
    dataset: Dataset,
    report: VerifyReport,
    sample: int,
    advance: Callable[[int], object],
) -> tuple[SeenKeys, list[Item]]:
    """Report what is missing or stale; what an ingest rejects is neither.

    Args:
        source: What was ingested.
        dataset: Where it is stored.
        report: Filled in.
        sample: Number of unchanged items to return.
        advance: Called with the number of items of each batch.

    Returns:
        The keys of the source, and a random sample of the items that are stored unchanged.
    """
    keys = SeenKeys()
    unchanged: Reservoir[Item] = Reservoir(sample)
    decoding = decoding_of(source)
    report.items = 0
    for batch in _items(source, dataset):
        report.items += batch.read
        report.rejected += len(batch.rejects)
        keys.rejected.update(reject.item_id for reject in batch.rejects)
        images, texts = _stored(dataset.images, batch), _stored(dataset.texts, batch)
        for item in batch.items:
            if _is_rejected(item, images, decoding):
                report.rejected += 1
                keys.rejected.add(item.item_id)
                continue
            keys.add(item)
            if _is_unchanged(item, images, texts, report):
                unchanged.offer(item)
        advance(batch.read)
    return keys, unchanged.values


def _items(source: Source | Embeddings, dataset: Dataset) -> Iterator[Batch[Item]]:
    if isinstance(source, Embeddings):
        return accept_embeddings(source.batches(), dataset.manifest.dim)
    return accept_items(source.batches(), dataset.manifest.document, decoding_of(source))


def _stored(collection: Collection, batch: Batch[Item]) -> Hashes:
    return collection.hashes(
        [row.id for item in batch.items for row in item.rows_of(collection.modality)]
    )


def _is_rejected(item: Item, images: Hashes, decoding: DecodeOptions) -> bool:
    """Return whether an ingest would have to encode the item's image, and cannot decode it."""
    row = item.image
    if row is None or row.embedding is not None or not isinstance(row.content, bytes):
        return False
    if images.get(row.id, ("", ""))[0] == row.content_hash:
        return False
    try:
        decode(row.content, at_least=1, options=decoding)
    except ImageError:
        return True
    return False


def _is_unchanged(item: Item, images: Hashes, texts: Hashes, report: VerifyReport) -> bool:
    """Report the rows of an item that are missing or stale; return whether there is none."""
    unchanged = True
    parts = ["its image"] if item.image is not None else []
    parts += [f"its caption {number}" for number in range(len(item.captions))]
    for part, row in zip(parts, item.rows(), strict=True):
        stored = (images if row is item.image else texts).get(row.id)
        if stored == (row.content_hash, item.detail_hash):
            continue
        unchanged = False
        if stored is None:
            report.add(ProblemKind.MISSING, item.item_id, f"{part} is not stored")
        elif stored[0] == row.content_hash:
            report.add(ProblemKind.STALE, item.item_id, f"{part} is stored with other metadata")
        else:
            report.add(ProblemKind.STALE, item.item_id, f"{part} is stored in another version")
    return unchanged
