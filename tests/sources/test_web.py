"""Datasets on a web server: the right items, in order, with the real reasons, within time."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from mm_milvus import SourceOptions, open_source
from mm_milvus.errors import SourceError
from mm_milvus.files import read_image
from webserver import web_server

QUICK = SourceOptions(connect_timeout=1, timeout=0.5, retries=1, allow_outside=True)


@pytest.fixture
def web(emoji: Path):
    with web_server() as server:
        pictures = sorted((emoji / "images").glob("*.png"))[:40]
        server.files = {picture.name: picture.read_bytes() for picture in pictures}
        server.files["noise.png"] = server.files[pictures[0].name] + bytes(4_000_000)
        yield server


def read(path, options: SourceOptions = QUICK) -> list[dict]:
    return [row for batch in open_source(path, options).batches() for row in batch.to_pylist()]


def write_table(path: Path, urls: list[str]) -> Path:
    path.write_text("\n".join(json.dumps({"image": url}) for url in urls))
    return path


def test_every_manner_of_serving_gives_exactly_the_right_set(web, tmp_path):
    names = [name for name in web.files if name != "noise.png"]
    manners = ("plain", "chunked", "slow", "reset/1", "status/500/1", "after/429/0/1", "redirect/3")
    good = [f"{web.url}/{manners[n % len(manners)]}/{name}" for n, name in enumerate(names)]
    bad = {
        f"{web.url}/plain/missing.png": "404",
        f"{web.url}/status/403/9/{names[0]}": "403",
        f"{web.url}/status/500/9/{names[1]}": "500",
        f"{web.url}/silent/{names[0]}": "nothing for 0.5 s",
        f"{web.url}/short/{names[0]}": "before the end",
        f"{web.url}/loop/{names[0]}": "redirects in circles",
        "http://127.0.0.1:1/x.png": "no connection",
    }
    mixed = [url for pair in zip(good, [*bad, *good[len(bad) :]], strict=True) for url in pair]
    urls = list(dict.fromkeys(mixed))
    rows = read(write_table(tmp_path / "t.jsonl", urls))
    assert [row["item_id"] for row in rows] == urls
    for row in rows:
        if reason := bad.get(row["item_id"]):
            assert reason in row["rejected"]
        else:
            assert row["rejected"] is None
            assert row["image"] == web.files[row["item_id"].rpartition("/")[2]]


def test_an_image_without_content_length_is_read_to_its_end(web, tmp_path):
    [row] = read(write_table(tmp_path / "t.jsonl", [f"{web.url}/chunked/noise.png"]))
    assert row["image"] == web.files["noise.png"]
    assert read_image(f"{web.url}/chunked/noise.png") == web.files["noise.png"]


def test_a_slow_image_does_not_hold_the_others(web, tmp_path):
    names = [name for name in web.files if name != "noise.png"]
    urls = [f"{web.url}/silent/{names[0]}"] + [f"{web.url}/slow/{name}" for name in names[1:]]
    options = SourceOptions(timeout=1.5, retries=0, fetch_concurrency=16)
    started = time.monotonic()
    rows = read(write_table(tmp_path / "t.jsonl", urls), options)
    took = time.monotonic() - started
    assert [row["rejected"] is None for row in rows] == [False] + [True] * (len(urls) - 1)
    # One after the other, the slow ones alone would take 20 s.
    assert took < 8


@pytest.mark.parametrize("name", ["t.csv", "captions.csv"])
def test_relative_images_of_a_table_on_a_web_server_are_read(web, name):
    names = list(web.files)[:3]
    web.files[name] = ("image,caption\n" + "".join(f"{n},a picture\n" for n in names)).encode()
    rows = read(f"{web.url}/plain/{name}", SourceOptions())
    assert [row["item_id"] for row in rows] == names
    assert [row["image"] for row in rows] == [web.files[n] for n in names]
    assert all(row["captions"] == ["a picture"] for row in rows)


@pytest.mark.parametrize("written", ["../secret.png", "/secret.png", "%2e%2e/secret.png", ".."])
def test_relative_images_may_not_lead_out_of_the_table_s_folder(web, written):
    web.files["t.csv"] = f"image\n{written}\n".encode()
    [row] = read(f"{web.url}/plain/t.csv", SourceOptions())
    assert "leads out of the table's folder" in row["rejected"]


@pytest.mark.parametrize("protocol", ["zip", "memory"])
def test_a_table_at_the_root_of_a_filesystem_is_read(tmp_path, emoji, protocol):
    import fsspec

    folder = tmp_path / "set"
    folder.mkdir()
    shutil.copy(emoji / "images" / "pizza.png", folder / "a.png")
    (folder / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "a pizza"}\n')
    if protocol == "zip":
        shutil.make_archive(str(tmp_path / "x"), "zip", folder)
        root = f"zip://::{tmp_path / 'x.zip'}"
    else:
        memory = fsspec.filesystem("memory")
        for file in folder.iterdir():
            memory.put(str(file), f"/{file.name}")
        root = "memory://"
    for path in (root, root.replace("://", "://metadata.jsonl", 1)):
        rows = read(path, SourceOptions())
        found = {row["item_id"]: row for row in rows if row["item_id"] == "a.png"}
        assert found["a.png"]["rejected"] is None
        assert found["a.png"]["captions"] == ["a pizza"]


def test_a_source_that_a_server_refuses_has_the_real_reason_and_no_secret(web):
    web.files["t.csv"] = b"image\na.png\n"
    url = f"{web.url}/status/403/9/t.csv?signature=s3cret".replace("http://", "http://me:p4ss@")
    with pytest.raises(SourceError, match="the server answers 403 Forbidden") as error:
        open_source(url, QUICK)
    assert "s3cret" not in str(error.value)
    assert "p4ss" not in str(error.value)


class FolderHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and its listing, and logs nothing."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.mark.parametrize("end", ["", "/"])
def test_a_folder_of_a_web_server_with_a_table_is_read(tmp_path, emoji, end):
    (tmp_path / "d").mkdir()
    shutil.copy(emoji / "images" / "pizza.png", tmp_path / "d")
    (tmp_path / "d" / "captions.csv").write_text("image,caption\npizza.png,a pizza\n")
    handler = partial(FolderHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        [row] = read(f"http://127.0.0.1:{server.server_port}/d{end}", SourceOptions())
        server.shutdown()
    assert (row["item_id"], row["captions"], row["rejected"]) == ("pizza.png", ["a pizza"], None)
