"""Compressed tables of text, and tables in UTF-16."""

from __future__ import annotations

import bz2
import gzip
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from mm_milvus.errors import OptionError, SourceError
from mm_milvus.files import locate
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions
from mm_milvus.sources.table import open_table

from .conftest import read_items


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


TEXTS = {
    "csv": 'image,caption,n\na.png,"größe 👗,\n2",1\nb.png,x,2\n',
    "tsv": 'image\tcaption\tn\na.png\t"größe 👗,\n2"\t1\nb.png\tx\t2\n',
    "jsonl": '{"image": "a.png", "caption": "größe 👗,\\n2", "n": 1}\n'
    '{"image": "b.png", "caption": "x", "n": 2}',
}
CODECS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".GZ": lambda data: gzip.compress(data[:20]) + gzip.compress(data[20:]),
    ".bz2": bz2.compress,
    ".zst": zstd,
}
ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16-le": b"\xff\xfe",
    "utf-16-be": b"\xfe\xff",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("suffix", TEXTS)
def test_compressed_text_and_utf_16_give_the_same_items(
    folder: Path, suffix: str, codec: str, encoding: str
) -> None:
    data = ENCODINGS[encoding] + TEXTS[suffix].encode(encoding)
    table = folder / f"set.{suffix}{codec}"
    table.write_bytes(CODECS[codec](data))
    items = read_items(table)
    assert items.rejects == {}
    assert items.captions == {"a.png": ["größe 👗,\n2"], "b.png": ["x"]}
    assert items["b.png"]["metadata"] == {"n": 2}
    assert open_source(table).name == "set"


@pytest.mark.parametrize("codec", [".gz", ".bz2", ".zst"])
@pytest.mark.parametrize("suffix", TEXTS)
def test_a_truncated_file_is_reported(folder: Path, suffix: str, codec: str) -> None:
    data = CODECS[codec](TEXTS[suffix].encode())
    table = folder / f"set.{suffix}{codec}"
    table.write_bytes(data[: len(data) - 9])
    with pytest.raises(SourceError, match=f"set.{suffix}{codec} cannot be read"):
        open_source(table)


@pytest.mark.parametrize("name", ["set.csv.gz", "set.jsonl.zst"])
def test_a_file_that_is_not_compressed_as_its_name_has_it(folder: Path, name: str) -> None:
    (folder / name).write_text("image\na.png\n")
    with pytest.raises(SourceError, match=name):
        open_source(folder / name)


@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_an_unpaired_surrogate_of_utf_16_rejects_only_its_row(
    folder: Path, suffix: str, delimiter: str
) -> None:
    rows = ["image caption", "a.png x\ud800", "b.png y"]
    text = "\n".join(rows).replace(" ", delimiter)
    (folder / f"t.{suffix}").write_bytes(b"\xff\xfe" + text.encode("utf-16-le", "surrogatepass"))
    items = read_items(folder / f"t.{suffix}")
    assert items.captions == {"b.png": ["y"]}
    assert list(items.rejects) == ["row-1"]


@pytest.mark.parametrize("line", [b'{"image": "a.png", "n": "\xff"}', b'"\xe9"'])
def test_invalid_bytes_of_jsonl_reject_only_their_line(folder: Path, line: bytes) -> None:
    (folder / "t.jsonl").write_bytes(line + b'\n{"image": "b.png"}\r\n')
    items = read_items(folder / "t.jsonl", image_column="image")
    assert items.ids == ["b.png"]
    (reason,) = items.rejects.values()
    assert reason.startswith("t.jsonl:1 is not valid JSON: its bytes are not valid text")


def test_a_table_that_is_truncated_after_its_head_is_read_up_to_there(folder: Path) -> None:
    rows = [f'{{"image": "a.png", "n": {n}, "t": "{n * 7919}"}}' for n in range(200_000)]
    data = gzip.compress("\n".join(rows).encode())
    (folder / "t.jsonl.gz").write_bytes(data[: len(data) // 2])
    *good, last = open_table(locate(str(folder / "t.jsonl.gz"))).read(frozenset())
    assert len(good) > 1000
    assert all(row.fault is None for row in good[:1000])
    assert "cannot be read after row" in (last.fault or "")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "shift_jis", "gbk", "utf-32"])
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.json", "t.csv.gz"])
def test_a_chosen_encoding_is_used_for_tables(folder: Path, name: str, encoding: str) -> None:
    word = "東京" if encoding in ("shift_jis", "gbk") else "größe"
    text = f"image,caption\na.png,{word}\n"
    if ".json" in name:
        text = f'{{"image": "a.png", "caption": "{word}"}}'
    data = text.encode(encoding)
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert read_items(folder / name, encoding=encoding).captions == {"a.png": [word]}


@pytest.mark.parametrize("name", ["a.txt", "a.json"])
def test_a_chosen_encoding_is_used_for_captions_of_folders_and_shards(
    folder: Path, name: str
) -> None:
    text = "größe" if name.endswith("txt") else '{"caption": "größe"}'
    (folder / name).write_bytes(text.encode("latin-1"))
    (reason,) = read_items(folder).rejects.values()
    assert "`encoding`" in reason
    shard = folder / "s.tar"
    with tarfile.open(shard, "w") as tar:
        for member in ("a.png", name):
            tar.add(folder / member, member)
    for path, item in ((folder, "a.png"), (shard, "a"), (folder / "a.png", "a.png")):
        assert read_items(path, encoding="latin-1").captions[item] == ["größe"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("suffix", TEXTS)
def test_utf_16_without_its_mark_is_recognised(folder: Path, suffix: str, encoding: str) -> None:
    (folder / f"t.{suffix}").write_bytes(TEXTS[suffix].encode(encoding))
    items = read_items(folder / f"t.{suffix}")
    assert items.captions == {"a.png": ["größe 👗,\n2"], "b.png": ["x"]}


@pytest.mark.parametrize(("name", "near"), [("latin1x", "latin1"), ("base64", ""), ("", "")])
def test_an_unknown_encoding_is_an_error_with_near_names(name: str, near: str) -> None:
    with pytest.raises(OptionError, match=f"`encoding` is {name!r}, which is unknown.*{near}"):
        SourceOptions(encoding=name)


@pytest.mark.parametrize(
    ("name", "delimiter", "options"),
    [
        ("captions.txt", ",", {}),
        ("captions.txt", "\t", {}),
        ("results.txt", "| ", {}),
        ("results.csv", "| ", {"delimiter": "|"}),
    ],
)
def test_text_files_and_spaces_after_delimiters(
    folder: Path, name: str, delimiter: str, options: dict[str, str]
) -> None:
    rows = [("image_name", "number", "comment"), ("a.png", "0", "x"), ("b.png", "1", "y z")]
    (folder / name).write_text("\n".join(delimiter.join(row) for row in rows))
    items = read_items(folder / name, **options)
    assert items.captions == {"a.png": ["x"], "b.png": ["y z"]}
    assert items["b.png"]["metadata"] == {"number": 1}
