"""One vector for an item's image and texts of its metadata."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_milvus import IngestOptions, ingest, open_embeddings
from mm_milvus.embeddings.encode import encode
from mm_milvus.embeddings.options import EncodeOptions
from mm_milvus.encoders.load import load_encoder
from mm_milvus.errors import OptionError, OutputError, StoreError
from mm_milvus.images.decoding import load_pixels
from mm_milvus.keys import image_key
from mm_milvus.pipeline.document import combine
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import open_dataset
from pictures import caption, search_items

DOCUMENT = {"image": 0.6, "title": 0.4}


def stored(uri: str, dataset: str, name: str) -> np.ndarray:
    key = image_key(f"{name}.png")
    with Store(uri) as store:
        return open_dataset(store, dataset).images.embeddings([key])[key]


@pytest.fixture
def run(uri, dataset, folder):
    caption(folder, "dog", "an animal", title="a violin")
    caption(folder, "pizza", "food", title="")
    options = IngestOptions(document=DOCUMENT)
    return partial(
        ingest,
        folder,
        store=uri,
        dataset=dataset,
        options=options,
        rejects=f"{dataset}.rejects.jsonl",
    )


def test_the_vector_is_the_weighted_sum_of_the_fields(run, uri, dataset, folder):
    run()
    encoder = load_encoder("compact")
    pixels = [
        load_pixels((folder / f"{name}.png").read_bytes(), encoder.spec.preprocessing)
        for name in ("dog", "pizza")
    ]
    dog, pizza = encoder.encode_images(np.stack(pixels))
    both = 0.6 * dog + 0.4 * encoder.encode_texts(["a violin"])[0]
    both /= np.linalg.norm(both)
    np.testing.assert_allclose(stored(uri, dataset, "dog"), both, rtol=0, atol=1e-5)
    # Without a title, the vector is the image's alone.
    np.testing.assert_allclose(stored(uri, dataset, "pizza"), pizza, rtol=0, atol=1e-5)
    assert search_items(uri, dataset, "a violin")[0] == "dog"


def test_a_changed_field_is_encoded_again_and_nothing_else(run, uri, dataset, folder):
    run()
    assert run().images == 0
    before = stored(uri, dataset, "dog")
    caption(folder, "dog", "an animal", title="a teapot")
    report = run()
    assert (report.images, report.captions, report.skipped) == (1, 0, 5)
    assert before @ stored(uri, dataset, "dog") < 0.99


def test_another_document_is_refused_and_the_manifest_has_the_first(run, uri, dataset):
    run()
    for other in (None, {"image": 1.0}):
        with pytest.raises(StoreError, match="built with the document"):
            run(options=IngestOptions(document=other))
    with Store(uri) as store:
        assert open_dataset(store, dataset).manifest.document == DOCUMENT


def test_encoding_and_storing_apart_gives_the_same_rows(run, uri, dataset, folder):
    encode(folder, "encoded", options=EncodeOptions(document=DOCUMENT))
    with pytest.raises(OutputError, match="encoded with the document"):
        encode(folder, "encoded")
    ingest(open_embeddings("encoded"), store=uri, dataset=dataset)
    report = run()
    assert (report.images, report.captions, report.skipped) == (0, 0, 6)


def test_an_item_without_any_of_the_fields_is_rejected(run, dataset):
    report = run(options=IngestOptions(document={"title": 1.0}))
    assert (report.images, report.rejected) == (1, 5)
    lines = Path(f"{dataset}.rejects.jsonl").read_text().splitlines()
    reasons = [json.loads(line)["reason"] for line in lines]
    assert set(reasons) == {"it has none of the document's fields: title"}


@pytest.mark.parametrize("document", [{}, {"image": 0.0}, {"image": 1.0, "title": -1.0}])
def test_bad_weights_are_refused(document):
    with pytest.raises(OptionError, match="weights above 0"):
        IngestOptions(document=document)


@given(
    weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=4),
    scale=st.floats(0.01, 100),
    seed=st.integers(0, 999),
)
def test_only_the_ratio_of_the_weights_matters(weights, scale, seed):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(len(weights), 8)).astype(np.float32)
    vectors = {str(n): row / np.linalg.norm(row) for n, row in enumerate(rows)}
    document = {str(n): weight for n, weight in enumerate(weights)}
    combined = combine(vectors, document)
    scaled = combine(vectors, {name: weight * scale for name, weight in document.items()})
    assert np.linalg.norm(combined) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(combined, scaled, atol=1e-4)
    assert combined.dtype == np.float32
