"""`verify` reports each kind of damage and repairs it; an undamaged dataset is healthy."""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mm_milvus import EncodeOptions, SourceOptions, VerifyOptions, encode, ingest, open_embeddings
from mm_milvus import verify as verify_
from mm_milvus.errors import OptionError, StoreError
from mm_milvus.keys import caption_key, image_key
from mm_milvus.store.collection import Collection
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import Dataset, open_dataset
from mm_milvus.store.read import stored_rows
from mm_milvus.store.rows import Row
from mm_milvus.verification.report import ProblemKind
from mm_milvus.verification.sample import Reservoir
from plain_encoder import PlainEncoder

pytestmark = pytest.mark.engines("lite")


@pytest.fixture
def verify(uri, dataset):
    """Return a function that checks the dataset; its keywords are those of `VerifyOptions`."""

    def verify(source=None, source_options=None, **options):
        return verify_(
            source,
            dataset=dataset,
            store=uri,
            encoder=PlainEncoder(),
            source_options=source_options,
            options=VerifyOptions(**options),
        )

    return verify


def contents(dataset: Dataset) -> dict[str, tuple]:
    """Return all rows without their vectors."""
    rows = {}
    for collection in dataset.collections:
        ids = [key for batch in collection.scan() for key, _ in batch]
        for row in stored_rows(collection, ids):
            rows[row.id] = (row.item_id, row.caption, row.content_hash, row.detail_hash)
    return rows


def change(collection: Collection, key: str, **fields: object) -> Row:
    """Write a row again with some fields changed."""
    [row] = stored_rows(collection, [key])
    changed = replace(row, **fields)
    collection.upsert([changed], {})
    return changed


@pytest.mark.usefixtures("stored")
def test_an_ingested_dataset_is_healthy_with_and_without_its_source(verify, folder):
    checked = verify(folder)
    assert checked.healthy, checked.examples
    assert (checked.images, checked.captions, checked.items, checked.rejected) == (6, 12, 7, 1)
    assert checked.sampled == 18
    assert checked.least_cosine > 0.9999
    without_source = verify(sample=4)
    assert without_source.healthy
    assert (without_source.items, without_source.sampled) == (None, 8)


def damage(store: Dataset) -> Counter[ProblemKind]:
    """Damage each of the six items in a different way; return the expected problems."""
    images, texts = store.images, store.texts
    # dog: not stored; dress: only the captions are stored
    images.delete([image_key("dog.png"), image_key("dress.png")])
    texts.delete([caption_key("dog.png", number) for number in (0, 1)])
    # pizza: only the second of two captions is stored
    texts.delete([caption_key("pizza.png", 0)])
    # helicopter: the vector is too short; saxophone: the picture has changed
    [helicopter] = stored_rows(images, [image_key("helicopter.png")])
    change(images, helicopter.id, embedding=helicopter.embedding * np.float32(0.5))
    change(images, image_key("saxophone.png"), content_hash="0" * 32)
    # penguin: also stored under another key
    change(images, image_key("penguin.png"), id="0" * 32)
    return Counter(
        {ProblemKind.MANIFEST: 2, ProblemKind.MISSING: 5, ProblemKind.ORPHAN: 2, ProblemKind.GAP: 1}
        | {ProblemKind.VECTOR: 1, ProblemKind.ENCODING: 1, ProblemKind.STALE: 1, ProblemKind.KEY: 1}
    )


def subtle_damage(store: Dataset) -> Counter[ProblemKind]:
    """Damage rows in ways that no ingest notices; return the expected problems."""
    images, texts = store.images, store.texts
    # the vectors of two pictures are exchanged
    [dog], [pizza] = (stored_rows(images, [image_key(name)]) for name in ("dog.png", "pizza.png"))
    change(images, dog.id, embedding=pizza.embedding)
    change(images, pizza.id, embedding=dog.embedding)
    # a caption far after the last one, one caption too many, and one under a foreign key
    change(texts, caption_key("dress.png", 0), id=caption_key("dress.png", 7))
    change(texts, caption_key("penguin.png", 0), id=caption_key("penguin.png", 2))
    change(texts, caption_key("saxophone.png", 0), id="a foreign key")
    texts.write_manifest(replace(store.manifest, rows={"image": 6, "text": 7}))
    return Counter(
        {
            ProblemKind.MANIFEST: 2,
            ProblemKind.ENCODING: 2,
            ProblemKind.GAP: 1,
            ProblemKind.STALE: 2,
            ProblemKind.KEY: 1,
        }
    )


def test_every_kind_of_damage_is_found_and_repaired(verify, stored, folder):
    before = contents(stored())
    for make_damage in (damage, subtle_damage):
        problems = make_damage(stored())
        assert verify(folder).problems == problems
        repaired = verify(folder, repair=True)
        assert repaired.healthy, repaired.examples
        assert repaired.repaired == problems
        assert contents(stored()) == before


def test_without_the_source_only_useless_rows_are_deleted(verify, stored):
    stored().images.delete([image_key("dog.png")])
    change(stored().texts, caption_key("pizza.png", 1), id=caption_key("pizza.png", 5))
    stored().texts.delete([caption_key("pizza.png", 1)])
    repaired = verify(repair=True)
    assert repaired.repaired == {ProblemKind.MANIFEST: 1, ProblemKind.ORPHAN: 2, ProblemKind.GAP: 1}
    assert dict(repaired.problems) == {ProblemKind.GAP: 1}
    assert (repaired.images, repaired.captions) == (5, 10)


def test_items_that_left_the_source_are_deleted_only_with_prune(verify, stored, folder):
    for suffix in ("png", "json"):
        (folder / f"pizza.{suffix}").unlink()
    shutil.copy(folder / "dog.png", folder / "helicopter.png")
    kept = verify(folder, repair=True)
    assert kept.repaired == {ProblemKind.EXTRA: 3, ProblemKind.STALE: 1}
    assert dict(kept.problems) == {ProblemKind.EXTRA: 3}
    assert verify(folder, repair=True, prune=True).healthy
    assert stored().counts() == {"image": 5, "text": 10}


@pytest.mark.usefixtures("stored")
def test_an_unreadable_item_is_neither_missing_nor_extra(verify, folder):
    (folder / "dog.png").write_bytes(b"<html>")
    (folder / "pizza.json").write_bytes(b"{")
    report = verify(folder)
    assert (report.healthy, report.rejected) == (True, 3)


def test_an_unfinished_ingest_is_reported(verify, stored):
    manifest = replace(stored().manifest, rows={}, search_params={})
    for collection in stored().collections:
        collection.write_manifest(manifest)
    report = verify(sample=0)
    assert dict(report.problems) == {ProblemKind.MANIFEST: 2}
    assert "no ingest has finished" in report.examples[0].reason


def test_documents_and_embeddings_are_checked_with_their_own_encoding(
    verify, uri, dataset, folder, tmp_path
):
    for picture in folder.glob("*.json"):
        captions = json.loads(picture.read_text())["captions"]
        picture.write_text(json.dumps({"captions": captions, "title": captions[0]}))
    document = {"image": 0.6, "title": 0.4}
    encode(folder, tmp_path / "out", model=PlainEncoder(), options=EncodeOptions(document=document))
    encoded = open_embeddings(tmp_path / "out")
    ingest(encoded, store=uri, dataset=dataset)
    for source in (folder, encoded, None):
        report = verify(source)
        assert report.healthy, report.examples
        assert (report.sampled, report.least_cosine > 0.9999) == (18, True)


def test_a_table_is_read_with_its_options(verify, uri, dataset, folder):
    table = folder / "table.csv"
    table.write_text("sku,photo,words\n7,dog.png,a dog\n8,pizza.png,a pizza\n")
    options = SourceOptions(id_column="sku", image_column="photo", caption_columns=("words",))
    ingest(table, store=uri, dataset=dataset, model=PlainEncoder(), source_options=options)
    assert verify(table, source_options=options).healthy


def test_bad_options_and_a_missing_store_are_errors(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        verify_(store=str(tmp_path / "nowhere.db"))
    with pytest.raises(OptionError, match="set `repair` as well"):
        VerifyOptions(prune=True)
    with pytest.raises(OptionError, match="`sample` is -1"):
        VerifyOptions(sample=-1)


@pytest.mark.usefixtures("stored")
def test_prune_needs_the_source(uri, dataset):
    with pytest.raises(OptionError, match="`prune` needs the source"):
        verify_(store=uri, dataset=dataset, options=VerifyOptions(repair=True, prune=True))


def test_a_repair_uses_one_connection(stored, folder, dataset, uri, monkeypatch):
    stored().images.delete([image_key("dog.png")])
    opened = []
    connect = Store.__init__

    def count(store, *arguments, **keywords):
        opened.append(store)
        connect(store, *arguments, **keywords)

    monkeypatch.setattr(Store, "__init__", count)
    options = VerifyOptions(repair=True)
    report = verify_(folder, dataset=dataset, store=uri, encoder=PlainEncoder(), options=options)
    assert report.repaired
    assert report.healthy
    assert len(opened) == 1


def test_a_repair_leaves_an_open_store_open(stored, folder, dataset, uri):
    stored().images.delete([image_key("dog.png")])
    options = VerifyOptions(repair=True)
    with Store(uri) as store:
        report = verify_(
            folder, dataset=dataset, store=store, encoder=PlainEncoder(), options=options
        )
        assert report.repaired
        assert open_dataset(store, dataset).counts() == {"image": 6, "text": 12}


def test_a_sample_has_its_size_and_repeats_no_row():
    reservoir = Reservoir(5)
    for number in range(200):
        reservoir.offer(number)
    assert len({*reservoir.values}) == len(reservoir.values) == 5
    assert max(reservoir.values) > 5


def test_a_check_is_ended_by_its_interrupt(folder, uri, dataset):
    ingest(folder, store=uri, dataset=dataset, model=PlainEncoder())
    interrupt = threading.Event()
    interrupt.set()
    for source in (folder, None):
        with pytest.raises(KeyboardInterrupt):
            verify_(
                source,
                dataset=dataset,
                store=uri,
                encoder=PlainEncoder(),
                interrupt=interrupt,
            )
