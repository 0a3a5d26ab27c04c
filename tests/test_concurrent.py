"""Ordered look-ahead: results in order, a bounded number under way, errors in their place."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_milvus.concurrent import map_ahead


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.lists(st.integers()), st.integers(1, 5), st.integers(1, 3))
def test_results_are_those_of_map_in_order(values, ahead, threads):
    with ThreadPoolExecutor(threads) as pool:
        assert list(map_ahead(pool, str, values, ahead)) == list(map(str, values))


@given(st.integers(1, 6))
@settings(deadline=None, max_examples=6, derandomize=True)
def test_no_more_values_are_taken_than_asked_for(ahead):
    taken = []

    def numbers():
        for number in range(100):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(pool, str, numbers(), ahead)
        for yielded in range(5):
            assert next(results) == str(yielded)
            assert len(taken) == yielded + ahead
        results.close()


def test_an_error_is_raised_in_its_place():
    def invert(number: int) -> float:
        return 1 / number

    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(pool, invert, [1, 2, 0, 4], ahead=3)
        assert [next(results), next(results)] == [1, 0.5]
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_closing_cancels_what_has_not_begun():
    release, begun = threading.Event(), []

    def wait(number: int) -> int:
        begun.append(number)
        release.wait(5)
        return number

    with ThreadPoolExecutor(1) as pool:
        results = map_ahead(pool, wait, range(10), ahead=4)
        first = threading.Thread(target=lambda: next(results))
        first.start()
        while not begun:
            pass
        release.set()
        first.join()
        results.close()
    assert len(begun) <= 4
