"""From a source to pairs and cached rows: each view once, in order, and kept after a failure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mm_milvus.arrays import Pixels
from mm_milvus.images.preprocessing import Preprocessing
from mm_milvus.keys import content_hash
from mm_milvus.pipeline.report import Report
from mm_milvus.rejects import RejectsFile
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions
from mm_milvus.training import features
from mm_milvus.training.features import read_pairs
from mm_milvus.training.options import TrainOptions
from mm_milvus.training.pairs import Pairs
from mm_milvus.training.row_cache import RowCache, Rows
from mm_milvus.training.views import view_key, view_pixels

PREPROCESSING = Preprocessing(8, 8, None, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
VIEWS = 2


class Flatten:
    """Keeps pixels as rows, and counts them; raises an error in one of its calls."""

    def __init__(self, failing_call: int | None = None, error: BaseException | None = None) -> None:
        self.views, self.calls = 0, 0
        self.failing_call, self.error = failing_call, error

    def __call__(self, pixels: Pixels) -> Rows:
        self.calls += 1
        if self.error is not None and self.calls == self.failing_call:
            raise self.error
        self.views += len(pixels)
        return pixels.reshape(len(pixels), -1)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "GPU_BATCH", 8)
    monkeypatch.setattr(features, "ROWS_PER_FILE", 8)


def write_table(folder: Path, images: Sequence[str]) -> Path:
    """Write a table with one item per entry; `broken` is no image, each other name is one."""
    for name in set(images):
        path = folder / f"{name}.png"
        if name == "broken":
            path.write_bytes(b"no image")
        else:
            noise = np.random.default_rng(len(name) * 256 + ord(name[-1]))
            Image.fromarray(noise.integers(0, 255, (12, 12, 3), np.uint8)).save(path)
    table = folder / "items.jsonl"
    rows = (
        {"id": f"item {n}", "image": f"{name}.png", "caption": f"caption {n}"}
        for n, name in enumerate(images)
    )
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return table


def read(table: Path, cache: RowCache, image_rows: Flatten) -> tuple[Pairs, Report]:
    report = Report(dataset="items", model="flatten")
    with closing(RejectsFile(table.parent / "rejects.jsonl")) as rejects:
        pairs = read_pairs(
            open_source(table, SourceOptions(id_column="id")),
            TrainOptions(),
            VIEWS,
            PREPROCESSING,
            cache,
            image_rows,
            report=report,
            rejects=rejects,
            progress=False,
        )
    return pairs, report


def test_shared_images_are_embedded_once_and_documents_keep_their_order(tmp_path):
    images = [*"abcab", "broken", *"dedabcfghij", "broken", *"ka"]
    cache, image_rows = RowCache(tmp_path / "cache"), Flatten()
    pairs, report = read(write_table(tmp_path, images), cache, image_rows)
    usable = [(f"item {n}", name) for n, name in enumerate(images) if name != "broken"]
    assert pairs.item_ids == [item_id for item_id, _ in usable]
    assert (report.items, report.rejected) == (len(images), 2)
    rejects = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert [(reject["item_id"], reject["stage"]) for reject in rejects] == [
        ("item 5", "decode"),
        ("item 17", "decode"),
    ]
    assert image_rows.views == VIEWS * len({name for _, name in usable})
    for image_hash, (_, name) in zip(pairs.images, usable, strict=True):
        data = (tmp_path / f"{name}.png").read_bytes()
        assert image_hash == content_hash(data)
        for view in range(VIEWS):
            key = view_key(image_hash, view)
            pixels = view_pixels(data, key, PREPROCESSING)
            np.testing.assert_array_equal(cache.take([key])[0], pixels.ravel())


def test_a_second_run_embeds_only_new_images(tmp_path):
    first, second = Flatten(), Flatten()
    read(write_table(tmp_path, "abcdefghi"), RowCache(tmp_path / "cache"), first)
    pairs, _ = read(write_table(tmp_path, "abcdefghixy"), RowCache(tmp_path / "cache"), second)
    assert (first.views, second.views) == (9 * VIEWS, 2 * VIEWS)
    assert len(pairs) == 11


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("the device is gone")])
def test_an_interrupted_run_keeps_the_rows_so_far(tmp_path, error):
    table = write_table(tmp_path, "abcdefghijklmnop")
    cache = RowCache(tmp_path / "cache")
    with pytest.raises(type(error)):
        read(table, cache, Flatten(failing_call=3, error=error))
    rest = Flatten()
    pairs, _ = read(table, RowCache(tmp_path / "cache"), rest)
    assert rest.views == 16 * VIEWS - 2 * features.GPU_BATCH
    assert len(pairs) == 16
