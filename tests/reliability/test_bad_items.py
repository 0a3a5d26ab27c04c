"""Whatever a folder contains, good items are stored, and bad ones are rejected with a reason."""

from __future__ import annotations

import io
import json
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from changing_dataset import ChangingDataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from killing import PROCESSES
from PIL import Image, ImageCms

from image_files import png_header
from mm_milvus import SourceError, SourceOptions, ingest, verify
from mm_milvus.sources.open import open_source
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import open_dataset
from plain_encoder import PlainEncoder

pytestmark = pytest.mark.engines("lite")

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")
NOBODY = 65_534


def saved(kind: str, mode: str = "RGB", **options: object) -> bytes:
    values = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).convert(mode).save(file, kind, **options)
    return file.getvalue()


def good_files() -> dict[str, bytes]:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    deep = io.BytesIO()
    Image.fromarray(np.full((9, 9), 40_000, np.uint16)).save(deep, "PNG")
    frames = {"save_all": True, "append_images": [Image.new("RGB", (30, 40))]}
    return {
        "a png.jpg": saved("PNG"),
        "exif.jpg": saved("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
        "cmyk.jpg": saved("JPEG", "CMYK", icc_profile=profile),
        "deep.png": deep.getvalue(),
        "animated.gif": saved("GIF", **frames),
        "animated.webp": saved("WEBP", **frames),
        "with\nnewline\tand tab.png": saved("PNG"),
        "👗🏳️‍🌈 é 日本 \u202e.png": saved("PNG"),
        "'quo\"tes' $(x) %s {}.png": saved("PNG"),
        "n" * 251 + ".png": saved("PNG"),
    }


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Return by name the content, and a part of the expected reason."""
    *head, last = saved("JPEG", "L", progressive=True).split(b"\xff\xda")
    endless = b"\xff\xda".join([*head, *[last[:-2]] * 5000]) + b"\xff\xd9"
    cut = {
        f"{kind} {tenth}.{kind.lower()}": (data[: len(data) * tenth // 10], "")
        for kind, data in ((kind, saved(kind)) for kind in FORMATS)
        for tenth in range(10)
    }
    return cut | {
        "html.jpg": (b"<!DOCTYPE html><p>Not found", "is not an image"),
        "zeros.png": (bytes(999), "is not an image"),
        "text.png": ("日本".encode(), "is not an image"),
        "bomb.png": (png_header(60_000, 60_000), "over the limit"),
        "endless.jpg": (endless, "scans, over the limit"),
    }


def rejects(dataset: str) -> dict[str, str]:
    lines = Path(f"{dataset}.rejects.jsonl").read_text().splitlines()
    entries = map(json.loads, lines)
    return {entry["item_id"]: entry["reason"] for entry in entries}


def test_a_folder_with_everything_that_can_be_wrong(tmp_path, uri, dataset):
    folder = tmp_path / "pictures"
    folder.mkdir()
    good, bad = good_files(), bad_files()
    for name, data in good.items():
        (folder / name).write_bytes(data)
    for name, (data, _) in bad.items():
        (folder / name).write_bytes(data)
    (folder / "around").symlink_to(folder)
    (folder / "itself.png").symlink_to("itself.png")
    (folder / "nowhere.png").symlink_to("nowhere")
    os.mkfifo(folder / "fifo.png")
    (folder / "folder.png").mkdir()
    rejects_file = f"{dataset}.rejects.jsonl"
    report = ingest(folder, store=uri, dataset=dataset, model=PlainEncoder(), rejects=rejects_file)
    with Store(uri) as store:
        rows = open_dataset(store, dataset).images.scan()
        stored = {item_id for batch in rows for _, item_id in batch}
    reasons = rejects(dataset)
    whole = {name for name in bad if name.startswith(("TIFF", "BMP", "GIF"))}
    assert good.keys() <= stored <= good.keys() | whole
    assert stored.isdisjoint(reasons)
    assert stored | reasons.keys() == good.keys() | bad.keys() | {
        "itself.png", "nowhere.png", "fifo.png",
    }  # fmt: skip
    for name, (_, reason) in bad.items():
        assert name in stored or reason in reasons[name]
    assert all(reasons.values())
    assert report.rejected == len(reasons)
    assert verify(folder, dataset=dataset, store=uri, encoder=PlainEncoder()).healthy


def test_a_file_that_changes_while_it_is_read(tmp_path, uri, dataset):
    data = ChangingDataset(tmp_path, seed=4, max_items=60)
    data.change()
    files = sorted(data.folder.glob("*.png"))
    over = threading.Event()

    def rewrite() -> None:
        while not over.is_set():
            for number, path in enumerate(files):
                Image.new("RGB", (8, 8), (number, 7, 7)).save(path)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        for _ in range(3):
            data.ingest(uri, dataset)
    finally:
        over.set()
        writer.join()
    assert data.ingest(uri, dataset).rejected == 0
    data.check(uri, dataset)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become nobody")
def test_a_file_without_permission_is_rejected():
    """Root can read everything, so a process that has become the user nobody reads."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pictures"
        (folder / "closed").mkdir(parents=True)
        for name in ("a.png", "mine.png", "closed/b.png"):
            (folder / name).write_bytes(saved("PNG"))
        for path, mode in (
            (Path(temporary), 0o755),
            (folder / "mine.png", 0),
            (folder / "closed", 0),
        ):
            path.chmod(mode)
        receiver, sender = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=_read_as_nobody, args=(folder, sender))
        process.start()
        sender.close()
        rejected = receiver.recv()
        process.join()
    assert rejected == {
        "a.png": None,
        "mine.png": "the image cannot be read: Permission denied",
        "closed/": "the folder cannot be read: Permission denied",
    }


def _read_as_nobody(folder: Path, sender: Any) -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    rows = [row for batch in open_source(folder).batches() for row in batch.to_pylist()]
    sender.send({row["item_id"]: row["rejected"] for row in rows})


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["a.png", "./a.png", "../a.png", "/etc/passwd", "b.png", "file:///etc/hosts"]),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
ROWS = st.lists(
    st.dictionaries(st.sampled_from(["image", "text", "id", "price", "x\n"]), CELLS, max_size=5),
    max_size=8,
)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ROWS, st.sampled_from([None, "id"]), st.binary(max_size=20))
def test_a_table_with_any_values_gives_items_or_reasons(tmp_path, rows, id_column, tail):
    """Every row is an item or has a reason; adjacent rows of one image may be one item."""
    (tmp_path / "a.png").write_bytes(b"x")
    lines = [json.dumps(row).encode() for row in rows]
    (tmp_path / "t.jsonl").write_bytes(b"\n".join([*lines, tail]))
    try:
        source = open_source(tmp_path / "t.jsonl", SourceOptions(id_column=id_column))
    except SourceError:
        return
    items = [row for batch in source.batches() for row in batch.to_pylist()]
    kept = [row["item_id"] for row in items if row["rejected"] is None]
    assert len(kept) == len({*kept})
    for row in items:
        assert row["item_id"]
        assert row["rejected"] is None or row["image"] is None
        # An item without an image has at least a caption.
        assert row["rejected"] or row["image"] or row["captions"]
        assert row["rejected"] is None or row["rejected"].strip()
        assert row["image"] in (None, b"x")
