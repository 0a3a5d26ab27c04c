"""Which split a part is of, by its name and those of its folders."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_milvus.sources.open import open_source
from mm_milvus.sources.parts import SPLITS, split_of

from .conftest import read_items

SUFFIXES = (".parquet", ".csv", ".jsonl", ".csv.gz", ".jsonl.zst", ".arrow", ".tar", ".tar.gz")

NUMBERS = (
    "",
    "0",
    "_0",
    "-1",
    ".12",
    "_00001",
    "2017",
    "-00000-of-00005",
    "-part-3",
    "_v2",
    "_data",
)
HASHED = ("-00000-of-00001-0f3ad2", "-00001-of-00002-deadbeef")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("split", [*SPLITS, "Train", "TEST"])
def test_a_split_word_with_any_numbering_is_a_split(split: str, suffix: str) -> None:
    for number in (*NUMBERS, *HASHED):
        for path in (
            f"{split}{number}{suffix}",
            f"data/beans-{split}{number}{suffix}",
            f"{split}{number}/0{suffix}",
            f"default/{split}{number}/images/part-00000{suffix}",
            f"split={split}/{number}x{suffix}",
        ):
            assert split_of(path) == split, path


@pytest.mark.parametrize(
    "name",
    [
        *("laion-00000-of-00001", "data-00000-of-00002", "part-0", "00000", "0.5"),
        *("train_products", "contest", "latest", "trainer", "testament_0", "devices", "value"),
        *("train-tickets", "medieval_0", "a-of-00002", "train" + "1" * 200 + "x"),
    ],
)
def test_other_words_are_no_splits(name: str) -> None:
    for suffix in SUFFIXES:
        assert split_of(f"{name}{suffix}") == ""
        assert split_of(f"{name}/{name}{suffix}") == ""
        assert split_of(f"test/{name}/{name}{suffix}") == "test"


@given(st.text(st.characters(exclude_characters="/"), min_size=1, max_size=40))
def test_any_other_name_is_a_split_only_by_a_word_in_it(name: str) -> None:
    split = split_of(f"{name}.parquet")
    assert split == "" or (split in name and split.lower() in SPLITS)


def shard(path: Path, *keys: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key in keys:
            for suffix, data in ((".jpg", path.as_posix().encode()), (".txt", b"text")):
                info = tarfile.TarInfo(key + suffix)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train/00000.tar", "test/00000.tar"),
        ("train-0000.tar", "test-0000.tar"),
        ("wds/cc3m-train-0.tar", "wds/cc3m-test-0.tar"),
    ],
)
def test_splits_of_shards_begin_the_ids(tmp_path: Path, train: str, test: str) -> None:
    shard(tmp_path / train, "a", "b")
    shard(tmp_path / test, "a")
    items = read_items(tmp_path)
    assert items.ids == ["test/a", "train/a", "train/b"]
    assert items.rejects == {}
    assert items["test/a"]["image"].endswith(test.encode())
    assert items["train/a"]["metadata"] == {"split": "train"}
    assert open_source(tmp_path).name == tmp_path.name


def test_keys_that_repeat_outside_of_splits_name_their_shards_and_the_remedy(
    tmp_path: Path,
) -> None:
    shard(tmp_path / "a/00000.tar", "1")
    shard(tmp_path / "b/00000.tar", "1", "2")
    items = read_items(tmp_path)
    assert items.ids == ["1", "2"]
    (reason,) = items.rejects.values()
    assert "in b/00000.tar repeats the one in a/00000.tar" in reason
    assert "`shard_ids`" in reason
    items = read_items(tmp_path, shard_ids=True)
    assert items.ids == ["a/00000/1", "b/00000/1", "b/00000/2"]
    assert items.rejects == {}


def test_shards_of_splits_have_ids_by_shard_too(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for number in range(2):
            shard(tmp_path / f"{split}/0000{number}.tar", "a")
    items = read_items(tmp_path, shard_ids=True)
    assert items.ids == [
        *("test/00000/a", "test/00001/a"),
        *("train/00000/a", "train/00001/a"),
    ]
