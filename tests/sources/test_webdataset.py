"""Tar shards: keys, patterns, and damaged shards."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mm_milvus.errors import SourceError
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions

from .conftest import read_items


def shard(files: dict[str, bytes], mode: str = "w") -> bytes:
    if mode == "w:zst":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(shard(files))
        return bytes(sink.getvalue().to_pybytes())
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


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [
        (".tar", "w"),
        (".tar.gz", "w:gz"),
        (".tgz", "w:gz"),
        (".tar.zst", "w:zst"),
        (".tzst", "w:zst"),
        (".tar.bz2", "w:bz2"),
        (".tar.xz", "w:xz"),
    ],
)
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


@pytest.mark.parametrize(
    ("names", "items", "rejects"),
    [
        (
            "22.05.png 22.05.txt 22.06.png 22.06.txt",
            {"22.05": "22.05.txt", "22.06": "22.06.txt"},
            "",
        ),
        (
            "22.05.png 22.06.png 22.06.txt 22.05.txt",
            {"22.05": "22.05.txt", "22.06": "22.06.txt"},
            "",
        ),
        ("d.x/1.png d.x/1.txt d.y/1.png", {"d.x/1": "d.x/1.txt", "d.y/1": ""}, ""),
        ("a.jpg a.seg.png a.txt", {"a": "a.txt", "a.seg": ""}, ""),
        ("a.seg.png a.txt a.seg.txt a.jpg", {"a": "a.txt", "a.seg": "a.seg.txt"}, ""),
        ("1.txt 1.seg.webp 1.alt.txt", {"1": "1.txt 1.alt.txt"}, ""),
        ("1.seg.webp 1.alt.caption", {"1.seg": ""}, "1.alt"),
        ("a.jpg a.alt.txt", {"a": "a.alt.txt"}, ""),
        ("a.jpg a.jpg.txt", {"a": "a.jpg.txt"}, ""),
        ("22.txt 22.05.png 22.05.txt", {"22.05": "22.05.txt"}, "22"),
        ("1.left.png 1.right.png 1.txt", {"1.left": "", "1.right": ""}, "1"),
        ("a.jpg a.png a.txt", {"a": "a.txt"}, "a.png"),
        ("a.JFIF b.gif c.tiff d.avif e.bmp f.jpe", dict.fromkeys("abcdef", ""), ""),
        ("a.jpg b.jpg a.txt b.txt", {"a": "", "b": ""}, "a b"),
        ("a.jpg a.caption a.text", {"a": "a.caption a.text"}, ""),
        ("README a.jpg", {"a": ""}, "README"),
    ],
)
def test_the_members_of_a_shard_are_divided_into_items(
    tmp_path: Path, names: str, items: dict[str, str], rejects: str
) -> None:
    (tmp_path / "s.tar").write_bytes(shard({name: name.encode() for name in names.split()}))
    read = read_items(tmp_path / "s.tar")
    assert read.captions == {key: captions.split() for key, captions in items.items()}
    assert sorted(read.rejects) == rejects.split()
    for key in items:
        assert read[key]["uri"] == f"{tmp_path}/s.tar#{read[key]['image'].decode()}"


def extends(key: str, other: str) -> bool:
    """Whether a key is another one, or another one with more parts."""
    return f"{key}.".startswith(f"{other}.")


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize("limit", [0, 32 * 2**20])
def test_every_member_is_an_image_a_caption_metadata_or_a_reject(
    tmp_path: Path, seed: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mm_milvus.sources.webdataset.MAX_RUN_BYTES", limit)
    draw = random.Random(seed)
    keys = ["a", "a.b", "a.b.c", "a.c", "b", "22.05", "22.06", "22", "d/a", "d/a.b"]
    suffixes = [".jpg", ".seg.png", ".gif", ".txt", ".caption", ".json", ".cls", ".npy", "", ".x.y"]
    names = sorted({draw.choice(keys) + draw.choice(suffixes) for _ in range(draw.randint(1, 25))})
    if draw.random() < 0.5:
        draw.shuffle(names)
    files = {name: f"the file {name}!".encode() for name in names}
    for name in names:
        if name.endswith(".json"):
            files[name] = f'{{"from {name}": "the file {name}!"}}'.encode()
        if name.endswith(".npy"):
            files[name] = b"\x93NUMPY" + name.encode()
    (tmp_path / "s.tar").write_bytes(shard(files))
    rows = read_items(tmp_path / "s.tar").rows
    kept = [row for row in rows if row["rejected"] is None]
    contents = [row["image"].decode() for row in kept] + [
        text for row in kept for text in [*row["captions"], row["metadata"]]
    ]
    rejects = [row for row in rows if row["rejected"] is not None]
    for name in names:
        held = sum(f"the file {name}!" in content for content in contents)
        key = name.rpartition(".")[0] or name
        rejected = any(
            row["item_id"] == name or extends(key, row["item_id"]) or extends(row["item_id"], key)
            for row in rejects
        )
        assert held == 1 or (held == 0 and rejected), name
    for row in kept:
        # A caption or field is never of another item: one key extends the other.
        for text in row["captions"]:
            key = text.removeprefix("the file ").rpartition(".")[0]
            assert extends(key, row["item_id"]) or extends(row["item_id"], key)
    assert not any(row["rejected"].startswith("the shard") for row in rejects)


def test_members_of_other_suffixes_are_metadata_or_rejects(tmp_path: Path) -> None:
    files = {
        "a.jpg": b"A",
        "a.cls": b"7\n",
        "a.code": b"00123",
        "a.seg.label": "th\u00e9".encode(),
        "a.json": b'{"cls": 7, "code": "x"}',
        "a.npy": b"\x93NUMPY",
        "a.mp4": b"x" * 100_000,
    }
    (tmp_path / "s.tar").write_bytes(shard(files))
    items = read_items(tmp_path / "s.tar")
    assert items["a"]["metadata"] == {
        "cls": 7,
        "code": "x",
        ".code": "00123",
        "seg.label": "th\u00e9",
    }
    assert sorted(items.rejects) == ["a.mp4", "a.npy"]


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE])
def test_links_and_special_members_are_rejected(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name in ("a.jpg", "a.txt", "b.txt"):
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
        link = tarfile.TarInfo("b.jpg")
        link.type, link.linkname = kind, "a.jpg"
        tar.addfile(link)
        folder = tarfile.TarInfo("d.jpg")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    items = read_items(tmp_path / "s.tar")
    assert items.ids == ["a"]
    assert list(items.rejects) == ["b"]
    assert "b.jpg is" in items.rejects["b"]


def test_keys_that_shards_repeat_are_distinct_with_the_names_of_the_shards(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        for number in range(2):
            (tmp_path / folder / f"s-{number}.tar").write_bytes(shard({"a.jpg": b"1"}))
    items = read_items(tmp_path / "x/s-*.tar", shard_ids=True)
    assert items.ids == ["s-0/a", "s-1/a"]
    items = read_items(tmp_path / "*/s-*.tar", shard_ids=True)
    assert items.ids == ["x/s-0/a", "x/s-1/a", "y/s-0/a", "y/s-1/a"]
    assert read_items(tmp_path / "x/s-1.tar", shard_ids=True).ids == ["s-1/a"]
    assert not items.rejects


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


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:zst"])
@pytest.mark.parametrize("keep", [0, 100, 600, 1024, 1200, 0.3, 0.5])
def test_a_truncated_shard_is_reported_and_the_next_is_read(
    tmp_path: Path, mode: str, keep: float
) -> None:
    noise = [bytes((n * 37 + i * i) % 256 for i in range(700)) for n in range(8)]
    whole = shard({f"{n}.jpg": data for n, data in enumerate(noise)}, mode)
    cut = int(len(whole) * keep) if isinstance(keep, float) else min(keep, len(whole) // 2)
    suffix = ".tar.zst" if mode == "w:zst" else ".tar"
    (tmp_path / f"s-0{suffix}").write_bytes(whole[:cut])
    (tmp_path / f"s-1{suffix}").write_bytes(shard({"last.jpg": b"x"}, mode))
    items = read_items(tmp_path / f"s-{{0..1}}{suffix}")
    assert items.ids[-1] == "last"
    assert f"s-0{suffix}" in items.rejects
    for item_id in items.ids[:-1]:
        assert items[item_id]["image"] == noise[int(item_id)]


def test_a_repeated_key_names_both_shards(tmp_path: Path) -> None:
    (tmp_path / "s-0.tar").write_bytes(shard({"a.jpg": b"1", "b.jpg": b"2", "a.png": b"3"}))
    (tmp_path / "s-1.tar").write_bytes(shard({"b.jpg": b"4"}))
    items = read_items(tmp_path / "s-*.tar")
    assert items["a"]["image"] == b"1"
    assert items.rejects == {
        "a": "the key a in s-0.tar repeats an earlier one: the first is kept",
        "b": "the key b in s-1.tar repeats the one in s-0.tar: the first is kept; "
        "`shard_ids` keeps both",
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
