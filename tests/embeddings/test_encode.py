"""Encoding on one machine and storing on another gives the same rows as one ingest."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_milvus import EncodeOptions, IngestOptions, SearchClient, encode, ingest, open_embeddings
from mm_milvus.encoders.load import load_encoder
from mm_milvus.errors import OptionError, OutputError, SourceError, StoreError
from mm_milvus.schema import Field, Modality, embeddings_schema
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import open_dataset
from pictures import OtherEncoder, caption, counts, search_items

QUESTIONS = ("an aircraft with rotors", "food", "a bird that swims", "music")


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "encoded"


@pytest.fixture
def run(folder, out):
    """Encode the folder; keywords are `EncodeOptions`."""

    def run(model="compact", **options):
        return encode(folder, out, model=model, options=EncodeOptions(**options))

    return run


@pytest.fixture
def store(uri, dataset, out):
    """Store what was encoded; keywords are `IngestOptions`."""

    def store(path=out, **options):
        return ingest(
            open_embeddings(path),
            store=uri,
            dataset=dataset,
            options=IngestOptions(**options),
            rejects="rejects.jsonl",
        )

    return store


class CountingEncoder:
    """The real encoder; it counts its inputs, and fails at the call `broken`."""

    def __init__(self, broken: int | None = None) -> None:
        self.compact = load_encoder("compact")
        self.spec = self.compact.spec
        self.batch_size = 2
        self.broken = broken
        self.calls = self.images = self.texts = 0

    def encode_images(self, pixels):
        if self.calls == self.broken:
            raise RuntimeError("the device is gone")
        self.calls += 1
        self.images += len(pixels)
        return self.compact.encode_images(pixels)

    def encode_texts(self, texts):
        self.texts += len(texts)
        return self.compact.encode_texts(texts)


def all_rows(uri: str, dataset: str) -> list[dict[str, object]]:
    """Return all rows of both collections, with all fields."""
    rows = []
    with Store(uri) as opened:
        for collection in open_dataset(opened, dataset).collections:
            ids = [key for batch in collection.scan() for key, _ in batch]
            fields = [field.value for field in Field if field != Field.CAPTION]
            if collection.modality is Modality.TEXT:
                fields.append(Field.CAPTION.value)
            stored = collection.client.query(collection.name, ids=ids, output_fields=fields)
            rows += [dict(row, collection=collection.modality) for row in stored]
    for row in rows:
        row["embedding"] = np.asarray(row["embedding"], np.float32).tobytes()
    return sorted(rows, key=lambda row: (row["collection"], row["id"]))


def parts(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def rejects(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.open()]


def test_two_steps_give_the_same_rows_as_one(run, store, uri, dataset, folder):
    caption(folder, "dog", "dog", "dog emoji", price=7, tags=["größe", "b"])
    caption(folder, "penguin")
    direct = f"{dataset}_direct"
    ingest(folder, store=uri, dataset=direct)
    encoded = run()
    assert (encoded.items, encoded.images, encoded.captions, encoded.parts) == (6, 6, 10, 1)
    stored = store()
    assert (stored.items, stored.images, stored.captions, stored.model) == (6, 6, 10, "compact")
    rows = all_rows(uri, dataset)
    assert len(rows) == 16
    assert rows == all_rows(uri, direct)
    with SearchClient(uri, dataset) as two, SearchClient(uri, direct) as one:
        for question in QUESTIONS:
            assert two.search(question) == one.search(question)

    again = ingest(folder, store=uri, dataset=dataset)
    assert (again.images, again.captions, again.skipped) == (0, 0, 6)
    other_way = ingest(open_embeddings(encoded.output), store=uri, dataset=direct)
    assert (other_way.images, other_way.captions, other_way.skipped) == (0, 0, 6)
    assert all_rows(uri, direct) == rows


def test_nothing_is_encoded_twice_and_the_latest_version_counts(
    run, store, uri, dataset, folder, out
):
    run()
    store()
    encoder = CountingEncoder()
    unchanged = run(encoder)
    assert (unchanged.skipped, unchanged.parts) == (6, 0)
    assert (encoder.images, encoder.texts) == (0, 0)

    shutil.copy(folder / "pizza.png", folder / "dog.png")
    caption(folder, "helicopter", "a steam locomotive", "helicopter emoji")
    caption(folder, "dress", "dress")
    caption(folder, "saxophone", "saxophone", "saxophone emoji", price=12)
    report = run(encoder)
    assert (report.images, report.captions, report.skipped, report.parts) == (1, 1, 3, 1)
    assert (encoder.images, encoder.texts) == (1, 1)
    assert parts(out) == ["part-00000.parquet", "part-00001.parquet"]

    stored = store()
    assert (stored.items, stored.images, stored.captions, stored.skipped) == (6, 1, 1, 3)
    assert search_items(uri, dataset, "saxophone", where=["price=12"]) == ["saxophone"]
    assert counts(uri, dataset) == {"image": 6, "text": 11}
    direct = f"{dataset}_direct"
    ingest(folder, store=uri, dataset=direct)
    assert_same(all_rows(uri, dataset), all_rows(uri, direct))
    again = store()
    assert (again.images, again.captions, again.skipped) == (0, 0, 6)


def assert_same(rows: list[dict[str, object]], others: list[dict[str, object]]) -> None:
    """Compare rows; vectors that were encoded in other batches may differ in their last bits."""
    for row, other in zip(rows, others, strict=True):
        vectors = [np.frombuffer(one.pop("embedding"), np.float32) for one in (row, other)]
        np.testing.assert_allclose(*vectors, atol=1e-6)
        assert row == other


def test_a_run_that_failed_is_resumed(run, out):
    with pytest.raises(RuntimeError, match="the device is gone"):
        run(CountingEncoder(broken=2))
    assert open_embeddings(out).size == 4
    (out / ".part-00001.parquet.tmp").write_bytes(b"PAR1 a run was killed here")
    encoder = CountingEncoder()
    report = run(encoder)
    assert (report.skipped, report.images, encoder.images) == (4, 2, 2)
    assert parts(out) == ["part-00000.parquet", "part-00001.parquet"]
    assert run(CountingEncoder()).skipped == 6


def test_a_limit_ends_the_run_and_the_next_run_resumes(run, store):
    assert (lambda r: (r.items, r.images))(run(limit=2)) == (2, 2)
    assert (lambda r: (r.items, r.images, r.skipped))(run()) == (6, 4, 2)
    assert (lambda r: (r.items, r.images))(store(limit=3)) == (3, 3)
    assert (lambda r: (r.items, r.images, r.skipped))(store()) == (6, 3, 3)


def test_another_encoder_is_refused_with_both_fingerprints(run, store, out, folder, uri, dataset):
    run()
    other, compact = OtherEncoder(), load_encoder("compact")
    with pytest.raises(OutputError) as error:
        run(other)
    assert other.spec.fingerprint in str(error.value)
    assert compact.spec.fingerprint in str(error.value)
    assert run().skipped == 6

    ingest(folder, store=uri, dataset=dataset, model=other)
    with pytest.raises(StoreError) as error:
        store()
    assert other.spec.fingerprint in str(error.value)
    assert compact.spec.fingerprint in str(error.value)

    elsewhere = encode(folder, out.with_name("elsewhere"), model=other).output
    shutil.copy(elsewhere / "part-00000.parquet", out / "part-00001.parquet")
    with pytest.raises(SourceError, match=other.spec.fingerprint):
        open_embeddings(out)


def test_bad_items_are_rejected_and_what_was_encoded_of_them_stays(run, store, folder, out):
    run()
    (folder / "dress.png").write_bytes(b"<html>not found</html>")
    (folder / "nobody.txt").write_text("a caption without a picture")
    report = run(prune=True)
    assert (report.rejected, report.pruned, report.skipped) == (2, 0, 5)
    assert report.rejects_file == out / "rejects.jsonl"
    by_item = {reject["item_id"]: reject for reject in rejects(report.rejects_file)}
    assert by_item.keys() == {"dress.png", "nobody.txt"}
    assert by_item["dress.png"]["stage"] == "decode"
    assert store().items == 6


def test_items_that_left_the_source_are_pruned_from_parts_and_store(
    run, store, uri, dataset, folder, out
):
    run()
    store()
    for suffix in ("png", "json"):
        (folder / f"pizza.{suffix}").unlink()
    caption(folder, "dog", "a hound")
    assert run().pruned == 0
    assert store(prune=True).pruned == 0
    assert counts(uri, dataset) == {"image": 6, "text": 11}
    before = open_embeddings(out).size
    assert run(prune=True).pruned == 3
    assert (before, open_embeddings(out).size) == (7, 5)
    assert run().skipped == 5
    assert store(prune=True, dry_run=True).pruned == 3
    assert store(prune=True).pruned == 3
    assert counts(uri, dataset) == {"image": 5, "text": 9}
    assert "pizza" not in search_items(uri, dataset, "pizza")


def damage(out: Path, change) -> None:
    """Change the rows of the only part, and keep the metadata of its schema."""
    path = out / "part-00000.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    change({Path(row["item_id"]).stem: row for row in rows})
    schema = pa.schema(
        [
            field.with_type(pa.list_(pa.float32()))
            if field.name == "image_embedding"
            else field.with_type(pa.list_(pa.list_(pa.float32())))
            if field.name == "caption_embeddings"
            else field
            for field in embeddings_schema(1)
        ],
        metadata=table.schema.metadata,
    )
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


def test_damaged_items_are_rejected_with_the_reason(run, store, uri, dataset, out):
    run()

    def change(rows):
        rows["dress"]["image_embedding"][3] = float("nan")
        rows["helicopter"]["image_embedding"] = [
            x * 2 for x in rows["helicopter"]["image_embedding"]
        ]
        rows["pizza"]["caption_embeddings"][1].pop()
        rows["dog"]["captions"].append("one without a vector")
        rows["saxophone"]["content_hash"] = "?"

    damage(out, change)
    report = store()
    assert (report.items, report.images, report.captions, report.rejected) == (6, 1, 2, 5)
    reasons = {
        Path(reject["item_id"]).stem: reject["reason"] for reject in rejects(report.rejects_file)
    }
    assert reasons == {
        "dress": "its vector is not finite",
        "helicopter": "its vector has the length 2, not 1",
        "pizza": "caption 1: its vector has 255 numbers, not 256",
        "dog": "it has 3 captions, and vectors for 2",
        "saxophone": "its content_hash is not 32 hex digits",
    }
    assert counts(uri, dataset) == {"image": 1, "text": 2}


def test_promoted_keys_are_columns_and_other_types_are_counted(run, store, uri, dataset, folder):
    caption(folder, "dog", "dog", price=7)
    caption(folder, "pizza", "pizza", price="cheap")
    run()
    report = store(promote={"price": "double"})
    assert (report.images, report.rejected, report.unfit_values) == (6, 0, {"price": 1})
    assert search_items(uri, dataset, "animal", where=["price=7"]) == ["dog"]


def truncate(data: bytes) -> bytes:
    return data[:-100]


def overwrite(data: bytes) -> bytes:
    return data[:40] + b"?" * 9 + data[49:]


@pytest.mark.parametrize("spoil", [truncate, overwrite])
def test_a_damaged_file_is_refused_and_nothing_is_pruned(run, store, uri, dataset, out, spoil):
    run()
    store()
    path = out / "part-00000.parquet"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(SourceError, match=r"part-00000\.parquet cannot be read as embeddings"):
        store(prune=True)
    with pytest.raises(SourceError, match=r"part-00000\.parquet cannot be read as embeddings"):
        run()
    assert counts(uri, dataset) == {"image": 6, "text": 12}


def test_the_dataset_is_named_after_the_encoded_source_for_every_path(run, uri, out, folder):
    run()
    memory = fsspec.filesystem("memory")
    memory.put(str(out / "part-00000.parquet"), "/encoded/part-00000.parquet")
    for path in (out, out / "part-00000.parquet", "memory://encoded"):
        report = ingest(open_embeddings(path), store=uri, options=IngestOptions(dry_run=True))
        assert (report.dataset, report.items) == (folder.name, 6)


def test_what_is_not_embeddings_is_refused(tmp_path, folder):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "table.parquet")
    for path, reason in [
        (tmp_path / "nowhere", "does not exist"),
        (folder, "holds no .parquet file"),
        (tmp_path / "table.parquet", "was not written by `encode`"),
        (folder / "dog.png", "cannot be read as embeddings"),
    ]:
        with pytest.raises(SourceError, match=reason):
            open_embeddings(path)
    with pytest.raises(OptionError, match="not a local folder"):
        encode(folder, "s3://bucket/encoded")
    with pytest.raises(OutputError, match="cannot be written"):
        encode(folder, tmp_path / "table.parquet")
    with pytest.raises(OptionError, match="`limit` is 0"):
        EncodeOptions(limit=0)


def test_storing_loads_no_encoder(run, out, tmp_path):
    run()
    code = (
        "import sys; from mm_milvus import ingest, open_embeddings;"
        f"print(ingest(open_embeddings({str(out)!r}), store='fresh.db').images,"
        "*{'torch', 'transformers', 'tokenizers'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["6"]
