"""Calls are retried while an index is rebuilt; all other errors are raised immediately."""

from __future__ import annotations

import pytest
from pymilvus.exceptions import MilvusException

from mm_milvus.store import retry
from mm_milvus.store.retry import retry_while_loading

SEARCH = "failed to search/query delegator 1 for channel dml_4: fail to Search, QueryNode ID=1, "


@pytest.mark.parametrize(
    "message",
    [
        SEARCH + "reason=collection not found[collection=470617785986849776]",
        SEARCH + "reason=service not ready[standalone=1]: Stopped",
        "collection not loaded[collection=470617785986849776]",
        "Collection 't_images' is in state 'released'; call load() before search/get/query",
    ],
)
def test_a_call_is_retried_while_the_collection_is_loading(message):
    answers = [MilvusException(message=message), MilvusException(message=message), "hits"]

    def call(name, limit):
        assert (name, limit) == ("t_images", 3)
        answer = answers.pop(0)
        if isinstance(answer, MilvusException):
            raise answer
        return answer

    assert retry_while_loading(call, "t_images", limit=3) == "hits"


GONE = "collection not found[database=default][collection=t_images]"


def test_a_call_is_retried_while_a_rebuild_moves_the_name():
    answers = [MilvusException(message=GONE), "hits"]

    def call():
        answer = answers.pop(0)
        if isinstance(answer, MilvusException):
            raise answer
        return answer

    assert retry_while_loading(call) == "hits"


@pytest.mark.parametrize(
    "message", [GONE, "can't find collection collection not found[collection=470706514230918381]"]
)
def test_a_dropped_collection_is_an_error_after_a_few_seconds(monkeypatch, message):
    monkeypatch.setattr(retry, "SWITCH_TIMEOUT_S", 0.15)

    def call():
        raise MilvusException(message=message)

    with pytest.raises(MilvusException, match="collection not found"):
        retry_while_loading(call)


def test_another_error_is_raised_immediately():
    calls = []

    def call():
        calls.append(1)
        raise MilvusException(message="cannot parse expression")

    with pytest.raises(MilvusException):
        retry_while_loading(call)
    assert calls == [1]
