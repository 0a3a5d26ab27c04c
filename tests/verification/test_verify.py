"""Each kind of damage is found under its name, and mended; what is whole is called healthy."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mm_milvus import EncodeOptions, SourceOptions, VerifyOptions, encode, ingest, open_embeddings
from mm_milvus import verify as verify_
from mm_milvus.errors import OptionError, StoreError
from mm_milvus.keys import caption_key, image_key
from mm_milvus.store.collection import Collection
from mm_milvus.store.dataset import Dataset
from mm_milvus.store.read import stored_rows
from mm_milvus.store.rows import Row
from mm_milvus.verification.report import Kind
from mm_milvus.verification.sample import Reservoir
from plain_encoder import PlainEncoder

pytestmark = pytest.mark.engines("lite")


@pytest.fixture
def verify(uri, dataset):
    """Check the data set; keywords are `VerifyOptions`."""

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
    """All rows but for their vectors."""
    rows = {}
    for collection in dataset.collections:
        ids = [key for batch in collection.scan() for key, _ in batch]
        for row in stored_rows(collection, ids):
            rows[row.id] = (row.item_id, row.caption, row.content_hash, row.detail_hash)
    return rows


def change(collection: Collection, key: str, **fields: object) -> Row:
    """Write a row again with other fields."""
    [row] = stored_rows(collection, [key])
    changed = replace(row, **fields)
    collection.upsert([changed], {})
    return changed


@pytest.mark.usefixtures("stored")
def test_what_was_ingested_is_healthy_with_and_without_its_source(verify, folder):
    whole = verify(folder)
    assert whole.healthy, whole.examples
    assert (whole.images, whole.captions, whole.items, whole.rejected) == (6, 12, 7, 1)
    assert whole.sampled == 18
    assert whole.least_cosine > 0.9999
    alone = verify(sample=4)
    assert alone.healthy
    assert (alone.items, alone.sampled) == (None, 8)


def damage(store: Dataset) -> Counter[Kind]:
    """Each of the six items in another way; returns what is to be found."""
    images, texts = store.images, store.texts
    # dog is not stored at all, and of the dress only captions are
    images.delete([image_key("dog.png"), image_key("dress.png")])
    texts.delete([caption_key("dog.png", number) for number in (0, 1)])
    # of the pizza's two captions, the second alone is there
    texts.delete([caption_key("pizza.png", 0)])
    # the helicopter's vector is too short, the saxophone's picture has changed
    [helicopter] = stored_rows(images, [image_key("helicopter.png")])
    change(images, helicopter.id, embedding=helicopter.embedding * np.float32(0.5))
    change(images, image_key("saxophone.png"), content_hash="0" * 32)
    # the penguin is also stored under another key
    change(images, image_key("penguin.png"), id="0" * 32)
    return Counter(
        {Kind.MANIFEST: 2, Kind.MISSING: 5, Kind.ORPHAN: 2, Kind.GAP: 1}
        | {Kind.VECTOR: 1, Kind.ENCODING: 1, Kind.STALE: 1, Kind.KEY: 1}
    )


def subtle_damage(store: Dataset) -> Counter[Kind]:
    """What no ingest would notice."""
    images, texts = store.images, store.texts
    # the vectors of two pictures change places
    [dog], [pizza] = (stored_rows(images, [image_key(name)]) for name in ("dog.png", "pizza.png"))
    change(images, dog.id, embedding=pizza.embedding)
    change(images, pizza.id, embedding=dog.embedding)
    # a caption far behind the last, one too many, and one under somebody's key
    change(texts, caption_key("dress.png", 0), id=caption_key("dress.png", 7))
    change(texts, caption_key("penguin.png", 0), id=caption_key("penguin.png", 2))
    change(texts, caption_key("saxophone.png", 0), id="a key of somebody")
    texts.write_manifest(replace(store.manifest, rows={"image": 6, "text": 7}))
    return Counter({Kind.MANIFEST: 2, Kind.ENCODING: 2, Kind.GAP: 1, Kind.STALE: 2, Kind.KEY: 1})


def test_every_kind_of_damage_is_found_and_mended(verify, stored, folder):
    before = contents(stored())
    for spoil in (damage, subtle_damage):
        problems = spoil(stored())
        assert verify(folder).problems == problems
        mended = verify(folder, repair=True)
        assert mended.healthy, mended.examples
        assert mended.repaired == problems
        assert contents(stored()) == before


def test_without_the_source_only_what_is_of_no_use_is_deleted(verify, stored):
    stored().images.delete([image_key("dog.png")])
    change(stored().texts, caption_key("pizza.png", 1), id=caption_key("pizza.png", 5))
    stored().texts.delete([caption_key("pizza.png", 1)])
    mended = verify(repair=True)
    assert mended.repaired == {Kind.MANIFEST: 1, Kind.ORPHAN: 2, Kind.GAP: 1}
    assert dict(mended.problems) == {Kind.GAP: 1}
    assert (mended.images, mended.captions) == (5, 10)


def test_what_left_the_source_goes_only_when_it_is_asked_for(verify, stored, folder):
    for suffix in ("png", "json"):
        (folder / f"pizza.{suffix}").unlink()
    shutil.copy(folder / "dog.png", folder / "helicopter.png")
    kept = verify(folder, repair=True)
    assert kept.repaired == {Kind.EXTRA: 3, Kind.STALE: 1}
    assert dict(kept.problems) == {Kind.EXTRA: 3}
    assert verify(folder, repair=True, prune=True).healthy
    assert stored().counts() == {"image": 5, "text": 10}


@pytest.mark.usefixtures("stored")
def test_what_cannot_be_read_today_is_neither_missing_nor_extra(verify, folder):
    (folder / "dog.png").write_bytes(b"<html>")
    (folder / "pizza.json").write_bytes(b"{")
    report = verify(folder)
    assert (report.healthy, report.rejected) == (True, 3)


def test_an_unfinished_ingest_is_told(verify, stored):
    manifest = replace(stored().manifest, rows={}, search_params={})
    for collection in stored().collections:
        collection.write_manifest(manifest)
    report = verify(sample=0)
    assert dict(report.problems) == {Kind.MANIFEST: 2}
    assert "no ingest has finished" in report.examples[0].reason


def test_documents_and_embeddings_are_checked_as_they_were_made(
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


def test_questions_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        verify_(store=str(tmp_path / "nowhere.db"))
    with pytest.raises(OptionError, match="set `repair` as well"):
        VerifyOptions(prune=True)
    with pytest.raises(OptionError, match="`sample` is -1"):
        VerifyOptions(sample=-1)


def test_a_sample_has_its_size_and_repeats_no_row():
    places, taken = Reservoir(5), [-1] * 5
    for number in range(200):
        if (place := places.next()) is not None:
            taken[place] = number
    assert len({*taken}) == 5
    assert max(taken) > 5
