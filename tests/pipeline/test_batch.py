"""Regrouped batches keep all items, in order, and all counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mm_milvus.pipeline.batch import Batch, Item, PendingRow, gather, regroup
from mm_milvus.rejects import Reject


def make_item(number: int) -> Item:
    return Item(str(number), "uri", {}, "{}", "hash", None, [])


def file_size(item: Item) -> int:
    return len(item.image.content) if item.image is not None else 0


@st.composite
def lists_of_batches(draw):
    batches, number = [], 0
    for size in draw(st.lists(st.integers(0, 9), max_size=12)):
        rejected, skipped = draw(st.integers(0, 3)), draw(st.integers(0, 3))
        batches.append(
            Batch(
                items=[make_item(number + n) for n in range(size)],
                rejects=[Reject(f"r{number}", "read", "bad") for _ in range(rejected)],
                read=size + rejected + skipped,
                skipped=skipped,
            )
        )
        number += size
    return batches


def ids_of(batches: list[Batch[Item]]) -> list[str]:
    return [item.item_id for batch in batches for item in batch.items]


def counts_of(batches: list[Batch[Item]]) -> list[int]:
    return [
        sum(batch.read for batch in batches),
        sum(batch.skipped for batch in batches),
        sum(len(batch.rejects) for batch in batches),
    ]


@given(lists_of_batches(), st.integers(1, 8))
def test_regroup_keeps_items_order_and_counts(batches, size):
    ids, counts = ids_of(batches), counts_of(batches)
    regrouped = list(regroup(batches, size))
    assert ids_of(regrouped) == ids
    assert counts_of(regrouped) == counts
    filled = [batch for batch in regrouped if batch.items]
    assert all(len(batch.items) == size for batch in filled[:-1])
    assert all(len(batch.items) <= size for batch in filled)


def test_counts_without_items_are_passed_on_immediately():
    stream = regroup(iter([Batch(read=64, skipped=64), Batch(read=64, skipped=64)]), 8)
    assert next(stream).skipped == 64


@given(lists_of_batches(), st.integers(1, 8))
def test_gather_joins_whole_batches_and_keeps_the_counts(batches, items):
    ids, counts = ids_of(batches), counts_of(batches)
    gathered = list(gather(batches, items, size=1, size_of=file_size))
    assert ids_of(gathered) == ids
    assert counts_of(gathered) == counts
    assert all(len(batch.items) >= items for batch in gathered[:-1])


def test_gather_yields_once_the_files_are_large():
    def batch_of_one(size: int) -> Batch[Item]:
        item = make_item(size)
        item.image = PendingRow("", bytes(size), "")
        return Batch([item], read=1)

    stream = [batch_of_one(6), batch_of_one(6), batch_of_one(1)]
    gathered = gather(stream, items=100, size=10, size_of=file_size)
    assert [len(batch.items) for batch in gathered] == [2, 1]
