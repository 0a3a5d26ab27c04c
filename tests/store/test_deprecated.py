"""Verbs and clients accept the keywords of version 0.1, and leave an open store open."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import mm_milvus
from mm_milvus import (
    AsyncSearchClient,
    QueryError,
    SearchClient,
    Store,
    StoreError,
    classify,
    dataset_info,
    describe_dataset,
    evaluate,
    ingest,
    inspect_dataset,
    list_datasets,
    tune,
    verify,
)
from plain_encoder import PlainEncoder

pytestmark = pytest.mark.engines("lite")

LABELS = ["a dog", "a pizza"]

Call = Callable[..., Any]


def _ingest(folder, dataset: str, **keywords: Any) -> tuple[int, int]:
    report = ingest(folder, dataset=dataset, model=PlainEncoder(), **keywords)
    return report.images, report.skipped


def _verify(folder, dataset: str, **keywords: Any) -> dict[str, Any]:
    return verify(folder, dataset=dataset, encoder=PlainEncoder(), **keywords).to_dict()


def _classify(folder, dataset: str, **keywords: Any) -> dict[str, int]:
    report = classify(folder, LABELS, dataset=dataset, model=PlainEncoder(), **keywords)
    return report.labels


def _evaluate(_folder, dataset: str, **keywords: Any) -> list[str]:
    return [repr(run.metrics) for run in evaluate(dataset, **keywords).runs]


def _search(_folder, dataset: str, **keywords: Any) -> list[tuple[str, float]]:
    with SearchClient(dataset=dataset, encoder=PlainEncoder(), **keywords) as client:
        return [(hit.item_id, hit.score) for hit in client.search("dog")]


def _search_async(_folder, dataset: str, **keywords: Any) -> list[tuple[str, float]]:
    async def run() -> list[tuple[str, float]]:
        client = AsyncSearchClient(dataset=dataset, encoder=PlainEncoder(), **keywords)
        async with client:
            return [(hit.item_id, hit.score) for hit in await client.search("dog")]

    return asyncio.run(run())


def _list(_folder, _dataset: str, **keywords: Any) -> list[str]:
    return [manifest.dataset for manifest in list_datasets(**keywords)]


def _describe(_folder, dataset: str, **keywords: Any) -> dict[str, int]:
    return describe_dataset(dataset, **keywords).rows


def _info(_folder, dataset: str, **keywords: Any) -> dict[str, int]:
    [info] = dataset_info(dataset, **keywords)
    return info.manifest.rows


def _inspect(_folder, dataset: str, **keywords: Any) -> int:
    return inspect_dataset(dataset, **keywords).report.images


def _tune(_folder, dataset: str, **keywords: Any) -> list[str]:
    return list(tune(dataset, **keywords).tunings)


WITH_OLD_KEYWORDS: dict[str, Call] = {
    "ingest": _ingest,
    "verify": _verify,
    "classify": _classify,
    "evaluate": _evaluate,
    "SearchClient": _search,
    "AsyncSearchClient": _search_async,
}
"""Calls of every verb and client of version 0.1 that takes a store."""

ALL: dict[str, Call] = {
    **WITH_OLD_KEYWORDS,
    "list_datasets": _list,
    "describe_dataset": _describe,
    "dataset_info": _info,
    "inspect_dataset": _inspect,
    "tune": _tune,
}

CHANGING = {"copy_dataset", "drop_dataset", "rename_dataset"}
"""Calls that make or remove a dataset; their own tests give them an open store."""
"""Calls of every verb and client that takes a store; `drop_dataset` has a test of its own."""

old = pytest.mark.parametrize("name", WITH_OLD_KEYWORDS)
every = pytest.mark.parametrize("name", ALL)


@pytest.fixture
def stored(folder, dataset, uri) -> str:
    ingest(folder, dataset=dataset, store=uri, model=PlainEncoder())
    return uri


@dataclass
class Opened:
    """How many stores were opened, and how many were closed."""

    opened: int = 0
    closed: int = 0


@pytest.fixture
def counts(monkeypatch) -> Opened:
    counts = Opened()
    connect, close = Store.__init__, Store.close

    def count_opened(store: Store, *arguments: Any, **keywords: Any) -> None:
        connect(store, *arguments, **keywords)
        counts.opened += 1

    def count_closed(store: Store) -> None:
        close(store)
        counts.closed += 1

    monkeypatch.setattr(Store, "__init__", count_opened)
    monkeypatch.setattr(Store, "close", count_closed)
    return counts


def takes_a_store(name: str) -> bool:
    value = getattr(mm_milvus, name)
    function = value.__init__ if inspect.isclass(value) else value
    return inspect.isfunction(function) and "store" in inspect.signature(function).parameters


def test_every_public_function_with_a_store_is_called_here():
    assert set(filter(takes_a_store, mm_milvus.__all__)) == {*ALL, *CHANGING}


@old
@pytest.mark.parametrize("token", [None, "root:Milvus"])
def test_the_old_keywords_warn_once_at_the_callers_line(name, token, folder, dataset, stored):
    call = WITH_OLD_KEYWORDS[name]
    expected = call(folder, dataset, store=stored)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call(folder, dataset, uri=stored, token=token)
    [warning] = [entry for entry in caught if entry.category is DeprecationWarning]
    assert name in str(warning.message)
    assert warning.filename == __file__
    lines, first = inspect.getsourcelines(call)
    assert first < warning.lineno < first + len(lines)
    assert result == expected


@old
def test_the_old_keywords_and_a_store_exclude_each_other(name, folder, dataset, stored):
    call = WITH_OLD_KEYWORDS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with pytest.raises(TypeError, match="not both"):
            call(folder, dataset, store=stored, uri=stored)
        with Store(stored) as store, pytest.raises(TypeError):
            call(folder, dataset, store=store, token="root:Milvus")


@old
def test_a_missing_file_is_an_error_for_the_old_keywords_as_well(name, folder, dataset, tmp_path):
    if name == "ingest":
        pytest.skip("an ingest creates the file")
    path = tmp_path / "missing.db"
    with (
        pytest.warns(DeprecationWarning, match=name),
        pytest.raises(StoreError, match="does not exist"),
    ):
        WITH_OLD_KEYWORDS[name](folder, dataset, uri=str(path), token="root:Milvus")
    assert not path.exists()


@every
def test_a_call_closes_the_one_store_that_it_opens(name, folder, dataset, stored, counts):
    ALL[name](folder, dataset, store=stored)
    assert (counts.opened, counts.closed) == (1, 1)


@every
def test_a_call_leaves_an_open_store_open(name, folder, dataset, stored, counts):
    with Store(stored) as store:
        expected = ALL[name](folder, dataset, store=store)
        assert (counts.opened, counts.closed) == (1, 0)
        assert ALL[name](folder, dataset, store=store) == expected
    assert (counts.opened, counts.closed) == (1, 1)


@every
def test_a_call_that_fails_closes_the_store_that_it_opened(name, folder, stored, counts):
    if name in {"ingest", "list_datasets"}:
        pytest.skip("it accepts every dataset name")
    with pytest.raises(QueryError, match="no dataset 'nobody'"):
        ALL[name](folder, "nobody", store=stored)
    assert counts.opened == counts.closed == 1


def test_an_ingest_that_fails_closes_the_store_that_it_opened(folder, dataset, stored, counts):
    options = mm_milvus.IngestOptions(index_type="HNSW")
    with pytest.raises(StoreError, match="has the index IVF_FLAT"):
        ingest(folder, dataset=dataset, store=stored, model=PlainEncoder(), options=options)
    assert counts.opened == counts.closed == 1
