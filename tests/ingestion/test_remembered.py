"""The options of a dataset's source are those of its last ingest, unless others are given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mm_milvus import (
    IngestOptions,
    SourceOptions,
    describe_dataset,
    encode,
    ingest,
    open_embeddings,
    verify,
)
from mm_milvus.cli.app import app
from mm_milvus.errors import OptionError, StoreError
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import open_dataset
from pictures import counts

pytestmark = pytest.mark.engines("lite", "server")


@pytest.fixture
def table(folder):
    """A table that can only be read with options."""
    path = folder / "products.csv"
    path.write_text("sku;bild;label;name\nd1;dress.png;Kleid;red dress\nd2;dog.png;Hund;dog\n")
    return path


GERMAN = {"delimiter": ";", "image_column": "bild", "caption_columns": ("label",)}


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return result.output


def test_the_next_run_reads_as_the_last_one_did(table, uri, dataset):
    ingest(table, store=uri, dataset=dataset, source_options=GERMAN)
    stored = describe_dataset(dataset, uri).source_options
    assert stored == {**GERMAN, "caption_columns": ["label"], "id_column": ""}
    again = ingest(table, store=uri, dataset=dataset)
    assert (again.items, again.skipped) == (2, 2)
    assert verify(table, store=uri, dataset=dataset).healthy
    # One option is given, and the others stay; the next run takes that one as well.
    for given in ({"caption_columns": ("name",)}, None):
        ingest(table, store=uri, dataset=dataset, source_options=given)
        assert describe_dataset(dataset, uri).source_options["caption_columns"] == ["name"]
    assert ingest(table, store=uri, dataset=dataset, options=IngestOptions(prune=True)).pruned == 0


def test_an_unknown_option_is_named_with_its_near_one(table, uri, dataset):
    with pytest.raises(OptionError, match="no option 'lenien'; is it 'lenient'"):
        ingest(table, store=uri, dataset=dataset, source_options={"lenien": True})


def test_the_command_line_says_what_it_takes_again(table, uri, dataset):
    command = ["ingest", table, "--dataset", dataset, "--uri", uri]
    first = run(*command, "--delimiter", ";", "--image-column", "bild", "--lenient")
    assert "columns: images in bild, no captions, ids are the images' paths" in first
    assert "last ingest" not in first
    second = run(*command, "--caption-column", "label", "--no-lenient")
    assert "read as by the last ingest: --image-column 'bild' --delimiter ';'\n" in second
    assert "--lenient" not in second
    assert "captions in label" in run("verify", table, "--dataset", dataset, "--uri", uri)


def test_other_decoding_encodes_again_only_what_it_changes(folder, uri, dataset):
    Image.fromarray(np.full((64, 64), 4095, np.uint16)).save(folder / "deep.png")
    Image.new("RGB", (64, 64), "red").save(folder / "red.jpg")
    ingest(folder, store=uri, dataset=dataset)
    before = describe_dataset(dataset, uri).rows["image"]
    stretched = {"stretch_16bit": True}
    report = ingest(folder, store=uri, dataset=dataset, source_options=stretched)
    assert report.images == before - 1  # a JPEG has 8 bits
    assert ingest(folder, store=uri, dataset=dataset).images == 0
    assert verify(folder, store=uri, dataset=dataset).healthy
    assert verify(store=uri, dataset=dataset).healthy
    back = ingest(folder, store=uri, dataset=dataset, source_options=SourceOptions())
    assert back.images == before - 1


def test_ids_from_another_column_are_refused(table, uri, dataset):
    english = {"delimiter": ";", "image_column": "bild"}
    ingest(table, store=uri, dataset=dataset, source_options={**english, "id_column": "sku"})
    with pytest.raises(StoreError, match="ids from the column 'sku', and this source from the im"):
        ingest(table, store=uri, dataset=dataset, source_options={"id_column": ""})
    assert counts(uri, dataset)["image"] == 2
    ingest(
        table,
        store=uri,
        dataset=dataset,
        source_options={"id_column": ""},
        options=IngestOptions(rebuild=True, prune=True),
    )
    assert counts(uri, dataset)["image"] == 2
    assert describe_dataset(dataset, uri).source_options["id_column"] == ""


def test_a_dataset_without_recorded_options_keeps_its_paths_as_ids(folder, uri, dataset):
    path = folder / "products.csv"
    path.write_text("id,image,caption\n7,dress.png,red dress\n")
    ingest(path, store=uri, dataset=dataset, source_options={"id_column": ""})
    with Store(uri) as store:
        stored = open_dataset(store, dataset)
        stored.with_manifest(replace(stored.manifest, source_options=None))
    report = ingest(path, store=uri, dataset=dataset)
    assert (report.skipped, counts(uri, dataset)["image"]) == (1, 1)


def test_embeddings_and_their_source_have_the_same_ids(folder, uri, dataset, tmp_path):
    path = folder / "products.csv"
    path.write_text("id,image,caption\n7,dress.png,red dress\n")
    encode(path, tmp_path / "encoded")
    ingest(open_embeddings(tmp_path / "encoded"), store=uri, dataset=dataset)
    report = ingest(path, store=uri, dataset=dataset)
    assert (report.skipped, counts(uri, dataset)["image"]) == (1, 1)
