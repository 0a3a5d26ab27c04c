"""The contract of a stored dataset, the same on every engine."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mm_milvus.errors import QueryError, StoreError
from mm_milvus.keys import caption_key, content_hash, image_key
from mm_milvus.schema import Modality
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import (
    create_dataset,
    describe_dataset,
    drop_dataset,
    find_dataset,
    find_manifest,
    list_datasets,
    open_dataset,
)
from mm_milvus.store.index import untuned_params
from mm_milvus.store.info import dataset_info
from mm_milvus.store.manifest import Manifest, read_manifest
from mm_milvus.store.read import stored_rows
from mm_milvus.store.rows import Row

DIM = 16


def vectors(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def row(item_id: str, vector: np.ndarray, caption: str | None = None, **metadata: object) -> Row:
    return Row(
        id=image_key(item_id) if caption is None else caption_key(item_id, 0),
        item_id=item_id,
        uri=f"/pictures/{item_id}",
        content_hash=content_hash(caption or item_id),
        detail_hash=content_hash(str(metadata)),
        embedding=vector,
        metadata=metadata,
        caption=caption,
    )


@pytest.fixture
def store(uri):
    with Store(uri) as store:
        yield store


@pytest.fixture
def manifest(dataset):
    return Manifest(
        dataset=dataset,
        encoder="test",
        encoder_fingerprint="0" * 16,
        dim=DIM,
        columns={"price": "double", "color": "varchar", "stock": "int64", "new": "bool"},
    )


@pytest.fixture
def opened(store, manifest):
    dataset = create_dataset(store, manifest, expected_rows=100)
    yield dataset
    dataset.drop()


DETAILS = {"price": 10.0, "color": "red", "stock": 3, "new": True}


def test_a_row_comes_back_as_it_was_written(opened):
    vector = vectors(1)[0]
    metadata = {**DETAILS, "tags": ["sale", "été"], "size": {"eu": 42}}
    opened.texts.upsert([row("shoe", vector, "a red shoe", **metadata)], opened.manifest.columns)
    assert opened.counts() == {"image": 0, "text": 1}
    [[match]] = opened.texts.search(vector[None], 5)
    assert match.item_id == "shoe"
    assert match.score == pytest.approx(1.0, abs=1e-5)
    [stored] = stored_rows(opened.texts, [match.id])
    assert (stored.uri, stored.caption) == ("/pictures/shoe", "a red shoe")
    assert stored.metadata == metadata


def test_an_upsert_replaces_the_row_with_the_same_id(opened):
    first, second = vectors(2)
    columns = opened.manifest.columns
    opened.images.upsert([row("a", first, **DETAILS)], columns)
    opened.images.upsert([row("a", second, **{**DETAILS, "price": 99.0})], columns)
    assert opened.counts()["image"] == 1
    [[match]] = opened.images.search(second[None], 1)
    [stored] = stored_rows(opened.images, [match.id])
    assert stored.metadata["price"] == 99.0
    np.testing.assert_allclose(stored.embedding, second, atol=1e-6)


def test_hashes_are_those_of_the_stored_rows(opened):
    written = row("a", vectors(1)[0], **DETAILS)
    opened.images.upsert([written], opened.manifest.columns)
    opened.counts()
    assert opened.images.hashes([written.id, image_key("b")]) == {
        written.id: (written.content_hash, written.detail_hash)
    }
    assert opened.images.hashes([]) == {}


def test_deleting_is_exact_and_ignores_an_unknown_id(opened):
    rows = [row(str(n), v, **DETAILS) for n, v in enumerate(vectors(10))]
    opened.images.upsert(rows, opened.manifest.columns)
    opened.images.delete([image_key("3"), image_key("nobody")])
    assert opened.counts()["image"] == 9
    remaining = {item_id for batch in opened.images.scan() for _, item_id in batch}
    assert remaining == {str(n) for n in range(10)} - {"3"}


def test_a_scan_reads_every_row_once(opened):
    rows = [row(str(n), v, **DETAILS) for n, v in enumerate(vectors(2500))]
    opened.images.upsert(rows, opened.manifest.columns)
    scanned = [key for batch in opened.images.scan() for key, _ in batch]
    assert sorted(scanned) == sorted(row.id for row in rows)


def test_search_finds_the_exact_neighbours_of_a_small_collection(opened):
    stored = vectors(500)
    rows = [row(str(n), v, **DETAILS) for n, v in enumerate(stored)]
    opened.images.upsert(rows, opened.manifest.columns)
    finished = opened.finish()
    queries = vectors(5, seed=1)
    params = finished.manifest.search_params[Modality.IMAGE]
    answers = finished.images.search(queries, 10, params=params)
    exact = np.argsort(-(queries @ stored.T), axis=1)[:, :10]
    assert [[int(m.item_id) for m in matches] for matches in answers] == exact.tolist()


def test_finish_writes_the_counts_of_both_collections_to_the_manifest(store, opened):
    columns = opened.manifest.columns
    opened.images.upsert([row("a", vectors(1)[0], **DETAILS)], columns)
    opened.texts.upsert([row("a", vectors(1)[0], "one", **DETAILS)], columns)
    opened.finish()
    again = find_dataset(store, opened.name)
    assert again is not None
    assert again.manifest.rows == {"image": 1, "text": 1}
    assert again.manifest.columns == columns
    assert again.manifest in list_datasets(store)


def test_an_index_that_no_longer_fits_the_row_count_is_rebuilt(store, manifest):
    dataset = create_dataset(store, manifest, expected_rows=0)
    stored = vectors(1000)
    rows = [row(str(n), v, **DETAILS) for n, v in enumerate(stored)]
    dataset.images.upsert(rows, manifest.columns)
    finished = dataset.finish()
    assert finished.manifest.search_params["image"] == {"nprobe": 25}
    [[best, *_]] = finished.images.search(stored[:1], 3, params={"nprobe": 25})
    assert best.item_id == "0"
    finished.drop()


@pytest.mark.parametrize("index_type", ["FLAT", "IVF_SQ8", "HNSW", "AUTOINDEX"])
def test_every_index_type_finds_the_row_itself(store, dataset, index_type):
    manifest = Manifest(dataset, "test", "0" * 16, DIM, index_type)
    opened = create_dataset(store, manifest, expected_rows=200)
    stored = vectors(200)
    opened.images.upsert([row(str(n), v) for n, v in enumerate(stored)], {})
    finished = opened.finish()
    params = finished.manifest.search_params["image"]
    [matches] = finished.images.search(stored[7:8], 150, params=params)
    assert matches[0].item_id == "7"
    assert len(matches) == 150
    finished.drop()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("price < 20", {"cheap"}),
        ('color == "red"', {"cheap", "dear"}),
        ("stock >= 5 and new == true", {"dear"}),
        ('metadata["tags"][0] == "sale"', {"cheap"}),
    ],
)
def test_promoted_columns_and_json_can_be_filtered(opened, expression, expected):
    a, b, c = vectors(3)
    rows = [
        row("cheap", a, price=10, color="red", stock=1, new=False, tags=["sale"]),
        row("dear", b, price=99.5, color="red", stock=5, new=True),
        row("unpriced", c, stock=9, new=False),
    ]
    opened.images.upsert(rows, opened.manifest.columns)
    opened.counts()
    [matches] = opened.images.search(a[None], 10, expression=expression)
    assert {match.item_id for match in matches} == expected


@pytest.mark.parametrize("expression", ["price <", "nobody == 3", "price < 'a' and ("])
def test_a_bad_expression_is_a_query_error_of_one_line(opened, expression):
    opened.images.upsert([row("a", vectors(1)[0], **DETAILS)], opened.manifest.columns)
    with pytest.raises(QueryError) as error:
        opened.images.search(vectors(1), 1, expression=expression)
    assert expression in str(error.value)
    assert "\n" not in str(error.value)


def test_names_that_milvus_rejects_can_be_used_and_do_not_collide(store, dataset):
    names = [f"{dataset}-{end}" for end in ("été", "_t_")]
    opened = [create_dataset(store, Manifest(name, "test", "0" * 16, DIM), 0) for name in names]
    listed = [manifest.dataset for manifest in list_datasets(store)]
    assert set(names) <= set(listed)
    for dataset_ in opened:
        dataset_.drop()


def test_an_unknown_dataset_is_an_error_that_names_the_others(store, opened):
    with pytest.raises(QueryError, match=f"no dataset 'nobody'.*{opened.name}"):
        open_dataset(store, "nobody")


def test_a_missing_collection_of_the_two_is_created_again(store, opened):
    opened.texts.drop()
    again = find_dataset(store, opened.name)
    assert again is not None
    assert again.counts() == {"image": 0, "text": 0}


def test_a_collection_of_another_application_is_not_touched(store, dataset):
    store.client.create_collection(f"{dataset}_images", dimension=4)
    with pytest.raises(StoreError, match="was not made by mm-milvus"):
        find_dataset(store, dataset)
    assert dataset not in [manifest.dataset for manifest in list_datasets(store)]
    store.client.drop_collection(f"{dataset}_images")


def test_describing_a_dataset_counts_its_rows_now(store, opened):
    opened.images.upsert([row("a", vectors(1)[0], **DETAILS)], opened.manifest.columns)
    assert opened.manifest.rows == {}
    described = describe_dataset(opened.name, store)
    assert described == replace(opened.manifest, rows={"image": 1, "text": 0})


def test_dropping_a_dataset_deletes_the_collections_of_every_encoder(store, uri, manifest):
    create_dataset(store, manifest, expected_rows=0)
    create_dataset(store, replace(manifest, encoder="other", suffix="_other"), expected_rows=0)
    names = [listed.encoder for listed in list_datasets(uri) if listed.dataset == manifest.dataset]
    assert names == ["test", "other"]
    drop_dataset(manifest.dataset, uri)
    assert manifest.dataset not in [listed.dataset for listed in list_datasets(store)]
    remaining = [name for name in store.client.list_collections() if manifest.dataset in name]
    assert remaining == []


@pytest.fixture
def of_another_version(store, manifest):
    """The manifest of a dataset with one row, as a later mm-milvus may have written it."""
    opened = create_dataset(store, manifest, expected_rows=0)
    opened.images.upsert([row("a", vectors(1)[0], **DETAILS)], manifest.columns)
    later = {"dataset": manifest.dataset, "encoder": "test", "schema_version": 99, "novelty": [1]}
    for collection in opened.collections:
        write_property(collection, later)
    yield replace(manifest, encoder_fingerprint="", dim=0, columns={}, schema_version=99)
    if find_manifest(store, manifest.dataset):
        drop_dataset(manifest.dataset, store)


def write_property(collection, fields):
    properties = {"mm_milvus": json.dumps(fields)}
    for _ in range(2):
        collection.client.alter_collection_properties(collection.name, properties=properties)


def test_a_dataset_of_another_schema_version_is_listed_and_described(store, of_another_version):
    name = of_another_version.dataset
    assert of_another_version in list_datasets(store)
    [info] = dataset_info(name, store)
    assert info.manifest == replace(of_another_version, rows={"image": 1, "text": 0})
    with pytest.raises(StoreError, match="has schema version 99, and this mm-milvus reads 1 and 2"):
        open_dataset(store, name)


def test_a_dataset_of_another_schema_version_can_be_dropped(store, of_another_version):
    drop_dataset(of_another_version.dataset, store)
    remaining = [n for n in store.client.list_collections() if of_another_version.dataset in n]
    assert remaining == []


def test_a_manifest_of_version_1_is_read_and_becomes_version_2_when_it_is_written(store, manifest):
    opened = create_dataset(store, manifest, expected_rows=0)
    version_1 = {**manifest.to_dict(), "schema_version": 1}
    for collection in opened.collections:
        write_property(collection, version_1)
    again = open_dataset(store, manifest.dataset)
    assert again.manifest == replace(manifest, schema_version=1, promoted=list(manifest.columns))
    finished = again.finish()
    written = find_manifest(store, manifest.dataset)
    assert written == replace(finished.manifest, schema_version=2)
    opened.drop()


def test_a_manifest_without_a_field_that_is_needed_is_refused():
    properties = {"mm_milvus": json.dumps({"dataset": "photos", "schema_version": 1})}
    with pytest.raises(StoreError, match="a field is missing"):
        read_manifest(properties, "photos_images")


def test_info_describes_every_encoder_and_the_state_of_its_collections(store, opened):
    other = replace(opened.manifest, encoder="other", suffix="_other", index_type="HNSW")
    create_dataset(store, other, expected_rows=0)
    opened.images.upsert(
        [row(str(n), v, **DETAILS) for n, v in enumerate(vectors(200))], opened.manifest.columns
    )
    opened.finish()
    first, second = dataset_info(opened.name, store)
    assert (first.manifest.encoder, second.manifest.encoder) == ("test", "other")
    assert first.manifest.rows == {"image": 200, "text": 0}
    images = first.collections["image"]
    assert (images.name, images.rows, images.loaded) == (opened.images.name, 200, True)
    assert (images.index, images.index_params) == ("IVF_FLAT", {"nlist": 5})
    assert images.vector_bytes == 200 * DIM * 4
    assert images.disk_bytes is None or images.disk_bytes > images.vector_bytes
    assert second.collections["text"].index == "HNSW"
    create_dataset(store, other, expected_rows=0).drop()


@pytest.mark.engines("server")
def test_info_loads_nothing_on_a_server(store, opened):
    opened.images.upsert([row("a", vectors(1)[0], **DETAILS)], opened.manifest.columns)
    opened.finish()
    store.client.release_collection(opened.images.name)
    [info] = dataset_info(opened.name, store)
    assert not info.collections["image"].loaded
    assert info.collections["image"].rows == 1
    assert not opened.images.is_loaded()


@pytest.mark.parametrize("index_type", ["IVF_FLAT", "HNSW", "FLAT"])
def test_a_small_collection_without_measured_parameters_is_searched_exhaustively(
    store, dataset, index_type
):
    manifest = Manifest(dataset, "test", "0" * 16, DIM, index_type)
    opened = create_dataset(store, manifest, expected_rows=2000)
    stored = vectors(2000)
    opened.images.upsert([row(str(n), v) for n, v in enumerate(stored)], {})
    opened.finish()
    lost = replace(opened, manifest=manifest)
    queries = vectors(20, seed=1)
    matches = lost.images.search(queries, 10, params=lost.search_params(lost.images))
    exact = np.argsort(-(queries @ stored.T), axis=1)[:, :10]
    assert [[int(m.item_id) for m in hits] for hits in matches] == exact.tolist()
    opened.drop()


def test_a_large_collection_without_measured_parameters_reads_as_many_rows_as_a_small_one():
    assert untuned_params("IVF_FLAT", {"nlist": 4000}, 1_000_000) == {"nprobe": 40}
    assert untuned_params("IVF_SQ8", {}, 1_000_000) == {"nprobe": 1}


def test_dropping_an_unknown_dataset_is_an_error(store, opened):
    with pytest.raises(QueryError, match=f"no dataset 'nobody'.*{opened.name}"):
        drop_dataset("nobody", store)


def test_the_stored_json_of_a_manifest_keeps_its_names(manifest):
    properties = replace(manifest, suffix="_clip_01234567").to_properties()
    stored = json.loads(properties["mm_milvus"])
    assert stored["beside"] == "_clip_01234567"  # codespell:ignore beside
    assert "suffix" not in stored
    assert read_manifest(properties, "photos_images").suffix == "_clip_01234567"
