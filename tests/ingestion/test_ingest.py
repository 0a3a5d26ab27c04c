"""The contract of ingest, the same on every engine: real pictures, the real encoder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mm_milvus import IngestOptions, SearchClient, SourceOptions, ingest
from mm_milvus.encoders.load import load_encoder
from mm_milvus.errors import OptionError, QueryError, SourceError, StoreError
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import open_dataset
from pictures import PICTURES, OtherEncoder, caption, counts, search_items

pytestmark = pytest.mark.engines("lite", "server", "container")


@pytest.fixture
def run(uri, dataset, folder):
    """Ingest the folder; keywords are `IngestOptions`."""

    def run(source=folder, **options):
        return ingest(
            source,
            store=uri,
            dataset=dataset,
            options=IngestOptions(**options),
            rejects=f"{dataset}.rejects.jsonl",
        )

    return run


def rejects(dataset: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in Path(f"{dataset}.rejects.jsonl").open()]


def test_a_folder_is_stored_and_found_and_a_second_run_encodes_nothing(run, uri, dataset):
    first = run()
    assert (first.items, first.images, first.captions) == (6, 6, 12)
    assert (first.skipped, first.rejected, first.pruned) == (0, 0, 0)
    assert not Path(f"{dataset}.rejects.jsonl").exists()
    assert counts(uri, dataset) == {"image": 6, "text": 12}
    assert search_items(uri, dataset, "an aircraft with rotors")[0] == "helicopter"
    second = run()
    assert (second.items, second.images, second.captions, second.skipped) == (6, 0, 0, 6)
    assert counts(uri, dataset) == {"image": 6, "text": 12}


def test_only_what_changed_is_encoded_again(run, uri, dataset, folder):
    run()
    shutil.copy(folder / "pizza.png", folder / "dog.png")
    caption(folder, "helicopter", "a steam locomotive", "helicopter emoji")
    caption(folder, "dress", "dress")
    caption(folder, "saxophone", "saxophone", "saxophone emoji", price=12)
    report = run()
    assert (report.images, report.captions, report.skipped) == (1, 1, 3)
    assert counts(uri, dataset) == {"image": 6, "text": 11}
    assert search_items(uri, dataset, "a steam locomotive")[0] == "helicopter"
    assert search_items(uri, dataset, "saxophone", where=["price=12"]) == ["saxophone"]


def test_changed_metadata_is_rewritten_without_encoding(run, uri, dataset, folder):
    run()
    caption(folder, "dog", "dog", "dog emoji", price=7)
    report = run()
    assert (report.images, report.captions, report.skipped) == (0, 0, 6)
    assert search_items(uri, dataset, "dog", where=["price=7"]) == ["dog"]
    assert counts(uri, dataset) == {"image": 6, "text": 12}


def test_items_that_left_the_source_stay_until_they_are_pruned(run, uri, dataset, folder):
    run()
    for suffix in ("png", "json"):
        (folder / f"pizza.{suffix}").unlink()
    assert run().pruned == 0
    assert counts(uri, dataset)["image"] == 6
    assert run(prune=True, dry_run=True).pruned == 3
    assert counts(uri, dataset)["image"] == 6
    assert run(prune=True).pruned == 3
    assert counts(uri, dataset) == {"image": 5, "text": 10}
    assert "pizza" not in search_items(uri, dataset, "pizza")


def test_bad_items_are_rejected_and_neither_stop_the_run_nor_lose_stored_rows(
    run, uri, dataset, folder
):
    run()
    (folder / "dress.png").write_bytes(b"<html>not found</html>")
    (folder / "helicopter.png").write_bytes((folder / "helicopter.png").read_bytes()[:300])
    (folder / "nobody.txt").write_text("a caption without a picture")
    shutil.copy(folder / "dog.png", folder / "cat.png")
    report = run(prune=True)
    assert (report.images, report.rejected, report.pruned) == (1, 3, 0)
    assert report.rejects_file == Path(f"{dataset}.rejects.jsonl")
    by_item = {Path(reject["item_id"]).stem: reject for reject in rejects(dataset)}
    assert by_item.keys() == {"dress", "helicopter", "nobody"}
    assert by_item["dress"]["stage"] == "decode"
    assert "is not an image: it begins with '<html>" in by_item["dress"]["reason"]
    assert "truncated" in by_item["helicopter"]["reason"]
    assert counts(uri, dataset) == {"image": 7, "text": 12}


def test_a_dry_run_counts_and_writes_nothing(run, uri, dataset):
    report = run(dry_run=True)
    assert (report.items, report.images, report.captions) == (6, 6, 12)
    with Store(uri) as store, pytest.raises(QueryError):
        open_dataset(store, dataset)


def test_a_limit_ends_the_run_and_the_next_run_resumes(run):
    assert (lambda r: (r.items, r.images))(run(limit=2)) == (2, 2)
    assert (lambda r: (r.items, r.images, r.skipped))(run()) == (6, 4, 2)


def test_a_value_that_does_not_fit_its_column_is_counted_and_found(run, uri, dataset, folder):
    for number, name in enumerate(PICTURES):
        caption(folder, name, name, price=10 * number, color="red" if number < 3 else "blue")
    caption(folder, "penguin", "penguin", price="unknown")
    report = run(promote={"price": "double", "color": "varchar"})
    assert (report.images, report.rejected) == (6, 0)
    assert report.unfit_values == {"price": 1}
    assert search_items(uri, dataset, "saxophone", where=["price=unknown"]) == ["penguin"]
    red = search_items(uri, dataset, "saxophone", where=["price>=10", "color=red"])
    assert sorted(red) == ["helicopter", "pizza"]
    with pytest.raises(StoreError, match="promoted columns"):
        run(promote={"price": "int64"})


@pytest.mark.engines("lite")
def test_metadata_keys_become_columns_by_themselves(run, uri, dataset, folder):
    for number, name in enumerate(PICTURES):
        caption(folder, name, name, price=10 * number, size={"eu": 42}, **{"shop id": f"s{number}"})
    report = run()
    with Store(uri) as store:
        manifest = open_dataset(store, dataset).manifest
    assert manifest.columns == {"price": "int64", "shop id": "varchar"}
    assert (manifest.promoted, manifest.unfit) == ([], {})
    assert (report.unfit_values, report.keys_without_column) == ({}, [])
    assert len(search_items(uri, dataset, "a", where=["price>=30"])) == 3
    assert search_items(uri, dataset, "a", where=["shop id=s0"]) == [PICTURES[0]]

    caption(folder, PICTURES[0], PICTURES[0], price=2.5, weight=3)
    caption(folder, PICTURES[1], PICTURES[1], price="n/a")
    report = run()
    assert (report.rejected, report.unfit_values) == (0, {"price": 2})
    assert report.keys_without_column == ["weight"]
    assert search_items(uri, dataset, "a", where=["price<3"]) == [PICTURES[0]]
    assert search_items(uri, dataset, "a", where=["weight=3"]) == [PICTURES[0]]
    with Store(uri) as store:
        assert open_dataset(store, dataset).manifest.unfit == {"price": ["number", "text"]}

    run(rebuild=True)
    with Store(uri) as store:
        manifest = open_dataset(store, dataset).manifest
    assert manifest.columns == {"price": "double", "weight": "int64", "shop id": "varchar"}
    assert manifest.unfit == {"price": ["text"]}
    assert search_items(uri, dataset, "a", where=["price<3"]) == [PICTURES[0]]


def test_another_encoder_is_refused_with_both_fingerprints(run, uri, dataset, folder):
    run()
    other = OtherEncoder()
    with pytest.raises(StoreError) as error:
        ingest(folder, store=uri, dataset=dataset, model=other)
    assert other.spec.fingerprint in str(error.value)
    assert load_encoder("compact").spec.fingerprint in str(error.value)
    with pytest.raises(StoreError, match="ffff0000ffff0000"):
        SearchClient(uri, dataset, encoder=other)


def test_duplicate_ids_keep_the_first_and_name_both(uri, dataset, folder):
    table = folder / "table.csv"
    table.write_text("id,image,caption\n7,dog.png,dog\n8,pizza.png,pizza\n7,saxophone.png,third\n")
    report = ingest(
        table,
        store=uri,
        dataset=dataset,
        source_options=SourceOptions(id_column="id"),
        rejects=f"{dataset}.rejects.jsonl",
    )
    assert (report.items, report.images, report.rejected) == (3, 2, 1)
    [reject] = rejects(dataset)
    assert reject["item_id"] == "7"
    assert "row 1" in reject["reason"]
    assert "row 3" in reject["reason"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"limit": 0}, "`limit` is 0"),
        ({"batch_size": 0}, "`batch_size` is 0"),
        ({"prune": True, "limit": 3}, "`prune` needs the whole dataset"),
        ({"promote": {"a": "json"}}, "cannot promote a to 'json'"),
        ({"index_type": "BTREE"}, "unknown `index_type` 'BTREE'"),
    ],
)
def test_bad_options_are_refused(options, reason):
    with pytest.raises(OptionError, match=reason):
        IngestOptions(**options)


def test_a_missing_path_is_refused_before_anything_is_created(tmp_path):
    with pytest.raises(SourceError, match="nowhere"):
        ingest(tmp_path / "nowhere", store=str(tmp_path / "store.db"))
    assert not (tmp_path / "store.db").exists()
