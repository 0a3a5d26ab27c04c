"""A model's files are found in a folder or fetched from a hub, or one line says why not."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from mm_milvus.encoders.load import load_encoder

Folder = Callable[[str], Path]

FIND = """
import sys
from mm_milvus.encoders.snapshot import find_model
from mm_milvus.errors import EncoderError
try:
    print(find_model(sys.argv[1]))
except EncoderError as error:
    print(error)
"""

LOAD = """
import sys
from mm_milvus.encoders.load import load_encoder
from mm_milvus.errors import EncoderError
try:
    load_encoder(sys.argv[1])
except EncoderError as error:
    print(error)
print("imported:", {"torch", "transformers"} & sys.modules.keys())
"""


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubHandler(BaseHTTPRequestHandler):
    """A small hub on this machine: the three routes that a download takes, over HTTP.

    It serves the model "tiny/clip" at the revisions main and v1, and the gated "tiny/gated".
    """

    folder: Path

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            return self.answer(b"")
        if "tiny/gated" in path:
            return self.refuse(403, "GatedRepo")
        if "tiny/clip" not in path:
            return self.refuse(401, "RepoNotFound")
        if path in (f"/api/models/tiny/clip/revision/{rev}" for rev in ("main", "v1")):
            return self.answer(json.dumps({"id": "tiny/clip", "sha": COMMIT}).encode())
        if path == f"/api/models/tiny/clip/tree/{COMMIT}":
            return self.answer(json.dumps(list(self.tree())).encode())
        if path.startswith(prefix := f"/tiny/clip/resolve/{COMMIT}/"):
            return self.answer((self.folder / path.removeprefix(prefix)).read_bytes())
        return self.refuse(404, "RevisionNotFound")

    do_HEAD = do_GET  # noqa: N815 - the name that http.server asks for

    def tree(self) -> Iterator[dict[str, object]]:
        for file in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            content = file.read_bytes()
            oid = hashlib.sha1(content).hexdigest()
            path = file.relative_to(self.folder).as_posix()
            yield {"type": "file", "path": path, "size": len(content), "oid": oid}

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def hub_server(folder: Path) -> Iterator[str]:
    """The address of a hub that serves `folder` as the model tiny/clip."""
    handler = type("Handler", (HubHandler,), {"folder": folder})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hf-home"


@pytest.fixture
def hub(model_folder: Folder) -> Iterator[str]:
    with hub_server(model_folder("clip")) as address:
        yield address


def run(program: str, name: str, cache: Path, **settings: str) -> str:
    """Return what the program prints; nothing may be written to stderr."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    silent = {"HF_HOME": str(cache), "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", program, name],
        env=kept | silent | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_a_hub_out_of_reach_is_reported_within_seconds(cache: Path) -> None:
    start = time.monotonic()
    # Port 9 (discard) of this machine: the connection is refused.
    output = run(LOAD, "openai/clip-vit-base-patch32", cache, HF_ENDPOINT="http://127.0.0.1:9")
    assert time.monotonic() - start < 5
    line, imported = output.splitlines()
    assert line.startswith("openai/clip-vit-base-patch32: not a folder here, not complete in")
    assert "the hub cannot be reached" in line
    assert "`hf download`" in line
    assert "the bundled model compact" in line
    assert imported == "imported: set()"


def test_offline_mode_is_honoured_and_named(cache: Path, hub: str) -> None:
    output = run(FIND, "tiny/clip", cache, HF_ENDPOINT=hub, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in output


@pytest.mark.parametrize("name", ["tiny/clip", "tiny/clip@v1"])
def test_a_hub_model_is_fetched_once_and_then_available_offline(
    cache: Path, hub: str, model_folder: Folder, name: str
) -> None:
    fetched = run(FIND, name, cache, HF_ENDPOINT=hub)
    again = run(FIND, name, cache, HF_ENDPOINT=hub, HF_HUB_OFFLINE="1")
    assert fetched == again
    ours = load_encoder(fetched, device="cpu").spec.fingerprint
    assert ours == load_encoder(str(model_folder("clip")), device="cpu").spec.fingerprint


def test_no_pickle_is_fetched(cache: Path, clip_copy: Path) -> None:
    (clip_copy / "pytorch_model.bin").write_bytes(b"pickle")
    with hub_server(clip_copy) as address:
        fetched = Path(run(FIND, "tiny/clip", cache, HF_ENDPOINT=address))
    assert (fetched / "model.safetensors").is_file()
    assert not (fetched / "pytorch_model.bin").exists()


def test_the_pooling_of_a_sentence_model_is_fetched_and_other_folders_are_not(
    cache: Path, clip_copy: Path
) -> None:
    for folder in ("1_Pooling", "onnx"):
        (clip_copy / folder).mkdir()
        (clip_copy / folder / "config.json").write_text("{}")
    with hub_server(clip_copy) as address:
        fetched = Path(run(FIND, "tiny/clip", cache, HF_ENDPOINT=address))
    assert (fetched / "1_Pooling" / "config.json").is_file()
    assert not (fetched / "onnx").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tiny/unknown", "the hub has no such model, or it is private"),
        ("tiny/gated", "accepted its terms and ran `hf auth login`"),
        ("tiny/clip@v2", "the hub has the model, but no revision v2"),
        ("no/such/folder", "not a folder here, and not a valid id of the hub"),
    ],
)
def test_a_model_that_the_hub_does_not_have(cache: Path, hub: str, name: str, reason: str) -> None:
    output = run(FIND, name, cache, HF_ENDPOINT=hub)
    assert output.startswith(f"{name}: ")
    assert reason in output
    assert len(output.splitlines()) == 1
