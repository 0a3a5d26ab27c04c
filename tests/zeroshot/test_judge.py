"""Runs of classify and moderate: findings in every kind of file, and labels in the store."""

from __future__ import annotations

import json
import signal
import tarfile
import threading

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from mm_milvus import IngestOptions, RunOptions, classify, ingest, moderate
from mm_milvus.cli.runs import interrupted_by_signals
from mm_milvus.errors import OptionError, OutputError, QueryError
from mm_milvus.schema import Modality
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import open_dataset
from mm_milvus.store.read import stored_rows
from mm_milvus.zeroshot import findings
from mm_milvus.zeroshot.findings import FindingsFile
from mm_milvus.zeroshot.labels import PREDICTIONS
from pictures import PICTURES, OtherEncoder, caption, counts, search_items

LABELS = ["dress", "helicopter", "pizza", "dog", "saxophone", "penguin"]


def read(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".csv":
        return pyarrow.csv.read_csv(path).to_pylist()
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_folder_is_classified_into_a_file(folder, tmp_path, suffix):
    (folder / "broken.png").write_bytes(b"no image")
    output = tmp_path / f"labels{suffix}"
    options = RunOptions(batch_size=4)
    report = classify(
        folder,
        LABELS,
        output=output,
        top_k=2,
        options=options,
        rejects="pictures.classify.rejects.jsonl",
    )
    rows = read(output)
    assert list(rows[0]) == ["item_id", "label", "probability"]
    assert [row["item_id"] for row in rows[::2]] == [f"{name}.png" for name in sorted(PICTURES)]
    assert [row["label"] for row in rows[::2]] == sorted(PICTURES)
    assert all(
        best["item_id"] == second["item_id"] and best["probability"] > second["probability"]
        for best, second in zip(rows[::2], rows[1::2], strict=True)
    )
    assert report.labels == dict.fromkeys(LABELS, 1)
    assert (report.items, report.images, report.rejected) == (7, 6, 1)
    assert report.rejects_file.name == "pictures.classify.rejects.jsonl"
    assert read(report.rejects_file)[0]["item_id"] == "broken.png"
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_an_image_and_a_tar_can_be_classified(folder, tmp_path):
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for name in ("dog", "pizza"):
            tar.add(folder / f"{name}.png", f"{name}.png")
    batches: list[pa.RecordBatch] = []
    for source in (folder / "dog.png", tmp_path / "shard.tar"):
        classify(source, LABELS, output=batches.append)
    rows = pa.Table.from_batches(batches).to_pylist()
    assert [(row["item_id"], row["label"]) for row in rows] == [
        ("dog.png", "dog"),
        ("dog", "dog"),
        ("pizza", "pizza"),
    ]


def test_parquet_is_written_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(findings, "GROUP_ROWS", 3)
    batch = pa.RecordBatch.from_pylist(
        [{"item_id": "a", "label": "b", "probability": 0.5}] * 2, PREDICTIONS
    )
    with FindingsFile(tmp_path / "out.parquet", PREDICTIONS) as file:
        for _ in range(3):
            file.write(batch)
    parquet = pq.ParquetFile(tmp_path / "out.parquet")
    groups = parquet.metadata.num_row_groups
    assert [parquet.metadata.row_group(group).num_rows for group in range(groups)] == [4, 2]


def test_an_impossible_output_is_rejected_before_the_first_image(folder, tmp_path):
    with pytest.raises(OptionError, match=r"\*.csv, \*.jsonl, \*.parquet"):
        classify(folder, LABELS, output=tmp_path / "labels.txt")
    with pytest.raises(OutputError, match="cannot be written: No such file"):
        classify(folder, LABELS, output=tmp_path / "no/labels.csv")


class Failing(OtherEncoder):
    """A real encoder; `event` is called at its second batch."""

    def __init__(self, event) -> None:
        super().__init__()
        self.batch_size, self.calls, self.event = 2, 0, event

    def encode_images(self, pixels):
        self.calls += 1
        if self.calls == 2:
            self.event()
        return super().encode_images(pixels)


def test_ctrl_c_keeps_the_findings_so_far(folder, tmp_path):
    encoder = Failing(lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT))
    with interrupted_by_signals() as interrupt:
        report = classify(
            folder,
            LABELS,
            model=encoder,
            output=tmp_path / "labels.csv",
            interrupt=interrupt,
        )
    assert report.interrupted
    assert 0 < len(read(tmp_path / "labels.csv")) == report.images < 6


def test_a_run_that_fails_leaves_no_file(folder, tmp_path):
    def fail():
        raise RuntimeError("the device is gone")

    (tmp_path / "labels.csv").write_text("previous")
    with pytest.raises(RuntimeError, match="the device is gone"):
        classify(folder, LABELS, model=Failing(fail), output=tmp_path / "labels.csv")
    assert (tmp_path / "labels.csv").read_text() == "previous"
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_moderation_flags_images_from_the_threshold_on(folder, tmp_path):
    policy = tmp_path / "food.toml"
    policy.write_text(
        'threshold = 0.5\nsafe = ["clothes", "a machine", "a bird", "music"]\n'
        '[categories.food]\nunsafe = ["a pizza", "food"]\n[categories.dogs]\nunsafe = ["a dog"]'
    )
    output = tmp_path / "findings.jsonl"
    report = moderate(folder, policy, output=output)
    rows = read(output)
    assert len(rows) == 12
    # The most probable category of an image comes first; in reverse, it is the one that stays.
    flagged = {row["item_id"]: row["category"] for row in reversed(rows) if row["flagged"]}
    assert (flagged["pizza.png"], flagged["dog.png"]) == ("food", "dogs")
    assert report.flagged == len(flagged) < 6
    assert sum(report.categories.values()) == sum(row["flagged"] for row in rows)
    assert moderate(folder, policy, threshold=1.0).flagged == 0
    assert moderate(folder, policy, threshold=0.0).categories == {"food": 6, "dogs": 6}


def test_labels_are_filterable_and_survive_an_ingest(folder, uri, dataset):
    caption(folder, "dog", "dog", "dog emoji", age=3, tags=["a"])
    options = IngestOptions(promote={"label": "varchar"}, limit=5)
    ingest(folder, store=uri, dataset=dataset, options=options)
    before = counts(uri, dataset)
    report = classify(folder, LABELS, store=uri, dataset=dataset, rejects="rejects.jsonl")
    assert (report.images, report.rejected, report.labelled) == (6, 1, dataset)
    [reject] = read(report.rejects_file)
    assert (reject["item_id"], reject["stage"]) == ("saxophone.png", "store")
    assert "ingest it first" in reject["reason"]
    assert counts(uri, dataset) == before
    assert search_items(uri, dataset, "anything", where=["label=dog"]) == ["dog"]
    assert ingest(folder, store=uri, dataset=dataset).skipped == 5
    assert search_items(uri, dataset, "x", where=["label_probability>0", "age=3"]) == ["dog"]
    with Store(uri) as connection:
        for collection in open_dataset(connection, dataset).collections:
            ids = [key for batch in collection.scan() for key, item in batch if "dog" in item]
            rows = stored_rows(collection, ids)
            assert len(rows) == (1 if collection.modality is Modality.IMAGE else 2)
            for row in rows:
                assert (row.metadata["label"], row.metadata["tags"]) == ("dog", ["a"])


@pytest.mark.engines("lite")
def test_an_unknown_dataset_is_reported_before_the_first_image(folder, uri, dataset):
    ingest(folder, store=uri, dataset=dataset, options=IngestOptions(limit=1))
    with pytest.raises(QueryError, match="nowhere"):
        classify(folder, LABELS, store=uri, dataset="nowhere")
