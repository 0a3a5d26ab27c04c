"""Tar shards: keys, patterns, and damaged shards."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from mm_milvus.errors import SourceError
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions

from .conftest import read_items


def shard(files: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


SAMPLES = {
    "d/0.jpg": b"J",
    "d/0.txt": b"one\ntwo\n",
    "1.json": b'{"caption": "three", "price": 5}',
    "1.seg.webp": b"W",
    "2.cls": b"7",
    "2.PNG": b"P",
    "._2.png": b"mac",
}


@pytest.mark.parametrize(("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".tgz", "w:gz")])
def test_the_files_of_one_key_are_one_item(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"set{suffix}"
    path.write_bytes(shard(SAMPLES, mode))
    items = read_items(path)
    assert items.captions == {"d/0": ["one", "two"], "1": ["three"], "2": []}
    assert items["1"]["metadata"] == {"price": 5}
    assert (items["1"]["image"], items["1"]["uri"]) == (b"W", f"{path}#1.seg.webp")
    assert not items.rejects
    assert open_source(path).name == "set"


def test_keys_without_an_image_or_with_a_bad_sidecar_are_rejected(tmp_path: Path) -> None:
    files = {"a.txt": b"x", "b.jpg": b"B", "b.json": b"{", "c.jpg": b"", "d.jpg": b"D"}
    (tmp_path / "s.tar").write_bytes(shard(files))
    items = read_items(tmp_path / "s.tar")
    assert items.ids == ["d"]
    assert list(items.rejects) == ["a", "b", "c"]
    assert "b.json" in items.rejects["b"]


def test_a_range_or_a_glob_names_several_shards(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"s-{number:02}.tar").write_bytes(shard({f"{number}.jpg": b"x"}))
    for pattern in ("s-{00..02}.tar", "s-*.tar", "s-0[0-2].tar"):
        assert read_items(tmp_path / pattern).ids == ["0", "1", "2"]
        assert open_source(tmp_path / pattern).name in ("s", "s-0")


def test_a_missing_shard_is_reported_when_the_source_is_opened(tmp_path: Path) -> None:
    (tmp_path / "s-0.tar").write_bytes(shard(SAMPLES))
    for pattern, named in [("s-{0..1}.tar", r"s-1\.tar is missing"), ("t-*.tar", r"t-\*\.tar")]:
        with pytest.raises(SourceError, match=named):
            open_source(tmp_path / pattern)


@pytest.mark.parametrize("pattern", ["s-{0..99999999999}.tar", "s-{2..1}.tar"])
def test_an_empty_or_endless_range_is_rejected(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(SourceError, match="shard"):
        open_source(tmp_path / pattern)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("keep", [0, 100, 600, 1024, 1200, 0.3, 0.5])
def test_a_truncated_shard_is_reported_and_the_next_is_read(
    tmp_path: Path, mode: str, keep: float
) -> None:
    noise = [bytes((n * 37 + i * i) % 256 for i in range(700)) for n in range(8)]
    whole = shard({f"{n}.jpg": data for n, data in enumerate(noise)}, mode)
    cut = int(len(whole) * keep) if isinstance(keep, float) else min(keep, len(whole) // 2)
    (tmp_path / "s-0.tar").write_bytes(whole[:cut])
    (tmp_path / "s-1.tar").write_bytes(shard({"last.jpg": b"x"}))
    items = read_items(tmp_path / "s-{0..1}.tar")
    assert items.ids[-1] == "last"
    assert "s-0.tar" in items.rejects
    for item_id in items.ids[:-1]:
        assert items[item_id]["image"] == noise[int(item_id)]


def test_a_repeated_key_names_both_shards(tmp_path: Path) -> None:
    (tmp_path / "s-0.tar").write_bytes(shard({"a.jpg": b"1", "b.jpg": b"2", "a.png": b"3"}))
    (tmp_path / "s-1.tar").write_bytes(shard({"b.jpg": b"4"}))
    items = read_items(tmp_path / "s-*.tar")
    assert items["a"]["image"] == b"1"
    assert items.rejects == {
        "a": "the key a in s-0.tar repeats an earlier one: the first is kept",
        "b": "the key b in s-1.tar repeats the one in s-0.tar: the first is kept",
    }


def test_shards_in_memory_are_read(memory: Any) -> None:
    memory.pipe({"/w/s-0.tar": shard(SAMPLES), "/w/s-1.tar": shard({"z.jpg": b"Z"})})
    for pattern in ("memory://w/s-{0..1}.tar", "memory://w/s-*.tar"):
        items = read_items(pattern)
        assert items.ids == ["d/0", "1", "2", "z"]
        assert items["z"]["uri"] == "memory:///w/s-1.tar#z.jpg"


def test_a_name_that_is_not_utf8_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(shard({"\udcff.jpg": b"x", "a.jpg": b"A"}))
    items = read_items(tmp_path / "s.tar")
    assert (items.ids, list(items.rejects)) == (["a"], ["\\udcff"])


def test_caption_from_folder_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(shard(SAMPLES))
    with pytest.raises(SourceError, match="not a folder"):
        open_source(tmp_path / "s.tar", SourceOptions(caption_from_folder="a {}"))
