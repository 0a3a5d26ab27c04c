"""The server is stopped in order, and started again: what a dataset was built with lasts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mm_milvus import IngestOptions, SearchClient, ingest, tune
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import open_dataset
from mm_milvus.store.manifest import Manifest
from plain_encoder import PlainEncoder
from server import Server


@pytest.fixture
def own_server(tmp_path) -> Iterator[Server]:
    """A server of this test alone, which it may stop."""
    server = Server(tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def restart(server: Server) -> None:
    server.stop()
    server.start()


def manifests(uri: str) -> list[Manifest]:
    with Store(uri) as store:
        return [collection.manifest() for collection in open_dataset(store, "d").collections]


def answers(uri: str) -> list[list[str]]:
    with SearchClient(uri, "d", encoder=PlainEncoder()) as client:
        return [[hit.item_id for hit in hits] for hits in client.search_many(["dog", "a pizza"])]


@pytest.mark.engines("server")
@pytest.mark.usefixtures("engine")
def test_every_change_of_the_manifest_outlasts_a_restart(own_server, folder):
    def ingest_with(**options):
        options = IngestOptions(**options)
        ingest(folder, store=own_server.uri, dataset="d", model=PlainEncoder(), options=options)

    ingest_with()
    written = manifests(own_server.uri)
    assert written[0].rows == {"image": 6, "text": 12}
    assert {*written[0].search_params} == {"image", "text"}
    found = answers(own_server.uri)
    restart(own_server)
    assert manifests(own_server.uri) == written
    assert answers(own_server.uri) == found

    ingest_with(rebuild=True, index_type="HNSW")
    tune("d", own_server.uri, target_recall=0.9)
    written = manifests(own_server.uri)
    assert (written[0].index_type, written[0].target_recall) == ("HNSW", 0.9)
    found = answers(own_server.uri)
    restart(own_server)
    assert manifests(own_server.uri) == written
    assert answers(own_server.uri) == found
