"""The options of decoding reach every verb that decodes the images of a source."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mm_milvus import IngestOptions, SourceOptions, classify, encode, ingest
from mm_milvus.images.preprocessing import Preprocessing
from mm_milvus.pipeline.accept import accept_items
from mm_milvus.pipeline.stages import decode
from mm_milvus.sources.open import open_source
from mm_milvus.sources.opened import decoding_of

PREPROCESSING = Preprocessing(8, 8, None, "nearest", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
BOTH = SourceOptions(stretch_16bit=True, lenient=True)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a JPEG without its end, and white of 12 bits in a file of 16."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "JPEG")
    (folder / "cut.jpg").write_bytes(file.getvalue()[:-2])
    Image.fromarray(np.full((8, 8), 4095, np.uint16)).save(folder / "deep.png")
    return folder


def brightness(folder, options: SourceOptions) -> dict[str, int]:
    """Return the mean of the pixels of each item that is decoded."""
    source = open_source(folder, options)
    batches = decode(accept_items(source.batches(), {}), PREPROCESSING, 8, decoding_of(source))
    return {
        item.item_id: round(float(item.pixels.mean())) for batch in batches for item in batch.items
    }


def test_the_options_of_a_source_decide_how_its_images_are_decoded(folder):
    assert brightness(folder, SourceOptions()) == {"deep.png": 16}
    assert brightness(folder, BOTH) == {"cut.jpg": 85, "deep.png": 255}


def test_a_source_with_options_keeps_its_name_and_size(folder):
    plain, other = open_source(folder), open_source(folder, BOTH)
    assert (other.name, other.size) == (plain.name, plain.size)
    assert [batch.to_pylist() for batch in other.batches()] == [
        batch.to_pylist() for batch in plain.batches()
    ]


@pytest.mark.parametrize("verb", ["ingest", "encode", "classify"])
@pytest.mark.parametrize(("options", "rejected"), [(SourceOptions(), 1), (BOTH, 0)])
def test_verbs_pass_the_options_on(verb, options, rejected, folder, tmp_path):
    match verb:
        case "ingest":
            report = ingest(
                folder,
                store=str(tmp_path / "none.db"),
                source_options=options,
                options=IngestOptions(dry_run=True),
            )
        case "encode":
            report = encode(folder, tmp_path / "encoded", source_options=options)
        case _:
            report = classify(folder, labels=("red", "white"), source_options=options)
    assert report.rejected == rejected
