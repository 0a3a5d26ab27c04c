"""The library asks before it acts: no signal handler, no file that nobody named."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from mm_milvus import EncodeOptions, IngestOptions, classify, encode, ingest, open_embeddings
from pictures import PICTURES, counts
from plain_encoder import PlainEncoder

pytestmark = pytest.mark.engines("lite")


class ObservedEncoder(PlainEncoder):
    """Encodes two images per call; calls `observe` with the number of the call first."""

    def __init__(self, observe) -> None:
        super().__init__()
        self.batch_size = 2
        self.observe = observe
        self.calls = 0

    def encode_images(self, pixels):
        self.calls += 1
        self.observe(self.calls)
        return super().encode_images(pixels)


def test_no_signal_handler_is_installed(uri, dataset, folder):
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    during = []
    encoder = ObservedEncoder(lambda _: during.append([signal.getsignal(n) for n in numbers]))
    ingest(folder, store=uri, dataset=dataset, model=encoder)
    encode(folder, "encoded", model=encoder)
    classify(folder, ["a", "b"], model=encoder)
    assert during == [before] * 9


def test_no_file_of_rejects_is_written_unless_it_is_named(uri, dataset, folder):
    (folder / "broken.png").write_bytes(b"?")
    files = set(Path().iterdir())
    report = ingest(folder, store=uri, dataset=dataset, model=PlainEncoder())
    assert (report.rejected, report.rejects_file) == (1, None)
    assert {path.suffix for path in set(Path().iterdir()) - files} <= {".db"}
    named = Path("deep.jsonl")
    report = ingest(folder, store=uri, dataset=dataset, model=PlainEncoder(), rejects=named)
    assert (report.rejected, report.rejects_file) == (1, named)
    assert len(named.read_text().splitlines()) == 1


def test_an_interrupted_ingest_stores_what_is_encoded_and_is_resumed(uri, dataset, folder):
    interrupt = threading.Event()
    encoder = ObservedEncoder(lambda _: interrupt.set())
    report = ingest(folder, store=uri, dataset=dataset, model=encoder, interrupt=interrupt)
    assert report.interrupted
    assert 0 < report.images < len(PICTURES)
    assert counts(uri, dataset)["image"] == report.images
    resumed = ingest(folder, store=uri, dataset=dataset, model=PlainEncoder())
    assert not resumed.interrupted
    assert (resumed.skipped, resumed.images) == (report.images, len(PICTURES) - report.images)


def test_an_interrupted_run_prunes_and_publishes_nothing(uri, dataset, folder):
    ingest(folder, store=uri, dataset=dataset, model=PlainEncoder())
    interrupt = threading.Event()
    interrupt.set()
    for options in (IngestOptions(prune=True), IngestOptions(rebuild=True)):
        report = ingest(
            folder,
            store=uri,
            dataset=dataset,
            model=PlainEncoder(),
            options=options,
            interrupt=interrupt,
        )
        assert (report.interrupted, report.items, report.pruned) == (True, 0, 0)
        assert counts(uri, dataset)["image"] == len(PICTURES)


def test_an_interrupted_encode_keeps_what_is_encoded(folder):
    interrupt = threading.Event()
    encoder = ObservedEncoder(lambda _: interrupt.set())
    options = EncodeOptions(prune=True)
    report = encode(folder, "encoded", model=encoder, options=options, interrupt=interrupt)
    assert (report.interrupted, report.pruned) == (True, 0)
    assert open_embeddings("encoded").size == report.images > 0
