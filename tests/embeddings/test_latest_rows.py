"""The latest row of each item, for rows in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mm_milvus.embeddings.parts import LatestRows

IDS = st.lists(st.text("abc", max_size=2), max_size=40)


@given(IDS, IDS)
def test_the_last_row_of_each_item_is_found(item_ids, wanted):
    last = {item_id: row for row, item_id in enumerate(item_ids)}
    latest = LatestRows(item_ids)
    assert latest.find(wanted) == [last.get(item_id) for item_id in wanted]
    assert latest.mask().tolist() == [last[x] == row for row, x in enumerate(item_ids)]
