"""Regrouping flows: no item and no part of the account is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mm_milvus.pipeline.batch import Batch, Item, PendingRow, gather, regroup
from mm_milvus.rejects import Reject


def item(number: int) -> Item:
    return Item(str(number), "uri", {}, "{}", "hash", None, [])


@st.composite
def flows(draw):
    made, number = [], 0
    for size in draw(st.lists(st.integers(0, 9), max_size=12)):
        rejected, skipped = draw(st.integers(0, 3)), draw(st.integers(0, 3))
        made.append(
            Batch(
                items=[item(number + n) for n in range(size)],
                rejects=[Reject(f"r{number}", "read", "bad") for _ in range(rejected)],
                read=size + rejected + skipped,
                skipped=skipped,
            )
        )
        number += size
    return made


@given(flows(), st.integers(1, 8))
def test_regroup_keeps_items_order_and_account(given_flows, size):
    ids = [each.item_id for flow in given_flows for each in flow.items]
    account = [
        (sum(f.read for f in given_flows)),
        (sum(f.skipped for f in given_flows)),
        (sum(len(f.rejects) for f in given_flows)),
    ]
    made = list(regroup(given_flows, size))
    assert [each.item_id for flow in made for each in flow.items] == ids
    assert account == [
        sum(f.read for f in made),
        sum(f.skipped for f in made),
        sum(len(f.rejects) for f in made),
    ]
    full = [flow for flow in made if flow.items]
    assert all(len(flow.items) == size for flow in full[:-1])
    assert all(len(flow.items) <= size for flow in full)


def test_an_account_without_items_does_not_wait_for_some():
    stream = regroup(iter([Batch(read=64, skipped=64), Batch(read=64, skipped=64)]), 8)
    assert next(stream).skipped == 64


@given(flows(), st.integers(1, 8))
def test_gather_joins_whole_flows_and_keeps_the_account(given_flows, items):
    ids = [each.item_id for flow in given_flows for each in flow.items]
    read, rejected = sum(f.read for f in given_flows), sum(len(f.rejects) for f in given_flows)
    found = list(gather(given_flows, items, size=1))
    assert [each.item_id for flow in found for each in flow.items] == ids
    assert sum(f.read for f in found) == read
    assert sum(len(f.rejects) for f in found) == rejected
    assert all(len(flow.items) >= items for flow in found[:-1])


def test_gather_goes_on_once_the_files_are_large():
    def one(size: int) -> Batch:
        each = item(size)
        each.image = PendingRow("", bytes(size), "")
        return Batch([each], read=1)

    found = gather([one(6), one(6), one(1)], items=100, size=10)
    assert [len(flow.items) for flow in found] == [2, 1]
