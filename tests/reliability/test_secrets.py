"""Tokens are never shown, connections can be encrypted, and files are data, never programs."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from changing_dataset import ChangingDataset
from proxy import proxied

from mm_milvus import SearchClient, ingest
from mm_milvus.cli.hide_token import split_token
from mm_milvus.errors import MmMilvusError, StoreError
from mm_milvus.sources.open import open_source
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import open_dataset
from mm_milvus.store.tls import tls_options
from plain_encoder import PlainEncoder

SECRET = "s3cret-w0rd"
SOURCE = Path(__file__).parents[2] / "src" / "mm_milvus"


@pytest.mark.engines("server")
def test_a_token_is_in_no_report_manifest_message_or_log(tmp_path, uri, dataset, caplog):
    caplog.set_level(logging.DEBUG)
    data = ChangingDataset(tmp_path, seed=5, max_items=30)
    data.change()
    (data.folder / "broken.png").write_bytes(b"x")
    address = urlsplit(uri)
    secret_uri = f"http://root:{SECRET}@{address.netloc}"
    token = f"root:{SECRET}"
    model = PlainEncoder()
    report = ingest(
        data.folder,
        store=Store(secret_uri, token=token),
        dataset=dataset,
        model=model,
        rejects=f"{dataset}.rejects.jsonl",
    )
    with Store(secret_uri, token=token) as store:
        manifest = open_dataset(store, dataset).manifest.to_dict()
    texts = [json.dumps([report.to_dict(), manifest]), Path(f"{dataset}.rejects.jsonl").read_text()]
    for wrong in ({"dataset": "nobody"}, {"db_name": "nowhere"}):
        with pytest.raises(MmMilvusError) as error:
            SearchClient(
                Store(secret_uri, token=token, db_name=wrong.get("db_name")), wrong.get("dataset")
            )
        texts.append(str(error.value))
    assert SECRET not in "".join(texts) + caplog.text


def test_a_token_is_not_in_the_title_of_the_process(tmp_path):
    """A server that accepts and never answers keeps the process waiting meanwhile."""
    program = Path(sys.executable).parent / "mm-milvus"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = [program, "query", "a", "--token", f"root:{SECRET}", "--uri", uri, "--debug"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
            silent.settimeout(60)
            silent.accept()
            title = subprocess.run(
                ["ps", "-ww", "-o", "args=", "-p", str(process.pid)], capture_output=True, text=True
            ).stdout
            process.kill()
            _, output = process.communicate()
    assert uri in title
    assert SECRET not in title + output


@pytest.mark.parametrize(
    ("arguments", "rest", "token"),
    [
        (["query", "a", "--token", "x", "-k", "3"], ["query", "a", "-k", "3"], "x"),
        (["query", "--token=a=b", "c"], ["query", "c"], "a=b"),
        (["query", "--", "--token", "x"], ["query", "--", "--token", "x"], None),
        (["query", "--token"], ["query", "--token"], None),
        (["ingest", "p"], ["ingest", "p"], None),
    ],
)
def test_a_token_is_removed_from_the_arguments(arguments, rest, token):
    assert split_token(arguments) == (rest, token)


# Encryption


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """Return a folder with a self-signed certificate of 127.0.0.1 and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl is missing")
    folder = tmp_path_factory.mktemp("certificates")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 "
        "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(" "), cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.engines("server")
@pytest.mark.parametrize("mutual", [False, True])
def test_a_server_behind_tls_is_reached_with_the_right_certificates(
    monkeypatch, uri, certificates, mutual
):
    cert, key = str(certificates / "cert.pem"), str(certificates / "key.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["h2"])
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cert)
    monkeypatch.setattr("mm_milvus.store.connection.CONNECT_TIMEOUT_S", 2)
    with proxied(uri, context) as proxy:
        with pytest.raises(StoreError, match="cannot open https://"):
            Store(proxy.uri)
        monkeypatch.setenv("MM_MILVUS_CA_CERT", cert)
        if mutual:
            monkeypatch.setenv("MM_MILVUS_CLIENT_CERT", cert)
            monkeypatch.setenv("MM_MILVUS_CLIENT_KEY", key)
        with Store(proxy.uri) as store:
            assert isinstance(store.client.list_collections(), list)


def test_missing_certificates_are_named(tmp_path):
    assert tls_options("http://host:1", {"MM_MILVUS_CA_CERT": "nowhere"}) == {}
    assert tls_options("https://host:1", {"MM_MILVUS_CA_CERT": ""}) == {}
    with pytest.raises(StoreError, match="MM_MILVUS_CA_CERT names nowhere, which is not a file"):
        tls_options("https://host:1", {"MM_MILVUS_CA_CERT": "nowhere"})
    (tmp_path / "key.pem").touch()
    with pytest.raises(StoreError, match="set MM_MILVUS_CA_CERT, MM_MILVUS_CLIENT_CERT"):
        tls_options("https://host:1", {"MM_MILVUS_CLIENT_KEY": str(tmp_path / "key.pem")})


# Files are data


def test_names_in_an_archive_are_never_used_as_paths(tmp_path):
    """Shards are read as streams, and never unpacked."""
    names = ["../../out.png", "/tmp/abs.png", "a/../../b.png", "plain.png"]
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
        for kind, target in ((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "/etc/passwd")):
            member = tarfile.TarInfo(f"link{kind.decode()}.png")
            member.type, member.linkname = kind, target
            tar.addfile(member)
    before = {*tmp_path.parent.rglob("*")}
    rows = [row for b in open_source(tmp_path / "s.tar").batches() for row in b.to_pylist()]
    items = [row for row in rows if row["rejected"] is None]
    assert {row["image"] for row in items} == {b"x"}
    assert len(items) == len(names)
    links = [row for row in rows if row["rejected"] is not None]
    assert [row["image"] for row in links] == [None, None]
    assert all("which is not followed" in row["rejected"] for row in links)
    assert {*tmp_path.parent.rglob("*")} == before


UNSAFE = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}


def calls_of(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.name)
def test_no_file_that_is_read_can_run_code(path):
    text = path.read_text()
    assert not re.search(rf"^\s*(?:import|from) (?:{'|'.join(UNSAFE)})\b", text, re.MULTILINE)
    assert "allow_pickle=True" not in text
    assert "trust_remote_code=True" not in text
    for call in calls_of(path):
        name = ast.unparse(call.func)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name == "torch.load":
            assert options.get("weights_only") == "True"
        if name in {"yaml.load", "eval", "exec", "os.system"}:
            pytest.fail(f"{name} in {path}")


def test_a_silent_server_is_an_error_in_time(monkeypatch):
    """The server accepts the connection and never answers."""
    monkeypatch.setattr("mm_milvus.store.connection.CONNECT_TIMEOUT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(StoreError, match="check that the server runs"):
            Store(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - start < 30
