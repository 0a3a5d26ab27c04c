"""A stage that runs ahead: order, bounds, errors, and no wait without an end."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_milvus.pipeline.prefetch import Prefetch


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.lists(st.integers()), st.integers(1, 5))
def test_all_values_arrive_in_order(values, depth):
    with closing(Prefetch(iter(values), threading.Event(), depth)) as stage:
        assert list(stage) == values


def test_it_runs_ahead_by_no_more_than_its_depth():
    taken = []

    def numbers():
        for number in range(100):
            taken.append(number)
            yield number

    with closing(Prefetch(numbers(), threading.Event(), depth=3)) as stage:
        assert next(stage) == 0
        time.sleep(0.3)
        assert len(taken) <= 1 + 3 + 1


def test_an_error_is_raised_after_the_values_before_it():
    def broken():
        yield 1
        raise ValueError("broken")

    with closing(Prefetch(broken(), threading.Event())) as stage:
        assert next(stage) == 1
        with pytest.raises(ValueError, match="broken"):
            next(stage)
        with pytest.raises(StopIteration):
            next(stage)


def test_leaving_early_closes_the_iterator_and_ends_its_thread():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    with closing(Prefetch(endless(), threading.Event())) as stage:
        next(stage)
    assert closed.is_set()
    assert not [t for t in threading.enumerate() if t.name == "mm-milvus-stage"]


def test_a_chain_ends_when_one_stage_is_left_waiting():
    stop, release = threading.Event(), threading.Event()

    def slow():
        yield 1
        release.wait(5)

    with closing(Prefetch(slow(), stop)) as first, closing(Prefetch(first, stop)) as second:
        assert next(second) == 1
        release.set()
    assert not [t for t in threading.enumerate() if t.name == "mm-milvus-stage"]
