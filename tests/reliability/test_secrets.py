"""A token is never shown; a line to a server can be encrypted; files are data and not programs."""

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
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from changing import Changing
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
def test_a_token_is_nowhere_in_what_is_kept_or_said(tmp_path, monkeypatch, uri, dataset, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    data = Changing(tmp_path, seed=5, most=30)
    data.change()
    (data.folder / "broken.png").write_bytes(b"x")
    place = urlsplit(uri)
    secret_uri = f"http://root:{SECRET}@{place.netloc}"
    token = f"root:{SECRET}"
    model = PlainEncoder()
    report = ingest(
        data.folder,
        store=Store(secret_uri, token=token),
        dataset=dataset,
        model=model,
        rejects=f"{dataset}.rejects.jsonl",
    )
    with Store(secret_uri, token=token) as connection:
        kept = asdict(open_dataset(connection, dataset).manifest)
    said = [json.dumps([report.to_dict(), kept]), Path(f"{dataset}.rejects.jsonl").read_text()]
    for wrong in ({"dataset": "nobody"}, {"db_name": "nowhere"}):
        with pytest.raises(MmMilvusError) as error:
            SearchClient(
                Store(secret_uri, token=token, db_name=wrong.get("db_name")), wrong.get("dataset")
            )
        said.append(str(error.value))
    assert SECRET not in "".join(said) + caplog.text


def test_a_token_is_not_in_the_title_of_the_process(tmp_path):
    """A server that accepts and never answers keeps the process waiting while we look."""
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
            _, said = process.communicate()
    assert uri in title
    assert SECRET not in title + said


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
def test_a_token_is_taken_out_of_the_arguments(arguments, rest, token):
    assert split_token(arguments) == (rest, token)


# Encryption


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """A certificate of 127.0.0.1 that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl program to make a certificate with")
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
        with Store(proxy.uri) as connection:
            assert isinstance(connection.client.list_collections(), list)


def test_certificates_that_are_not_there_or_not_enough_are_named(tmp_path):
    assert tls_options("http://host:1", {"MM_MILVUS_CA_CERT": "nowhere"}) == {}
    assert tls_options("https://host:1", {"MM_MILVUS_CA_CERT": ""}) == {}
    with pytest.raises(StoreError, match="MM_MILVUS_CA_CERT names nowhere, which is not a file"):
        tls_options("https://host:1", {"MM_MILVUS_CA_CERT": "nowhere"})
    (tmp_path / "key.pem").touch()
    with pytest.raises(StoreError, match="set MM_MILVUS_CA_CERT, MM_MILVUS_CLIENT_CERT"):
        tls_options("https://host:1", {"MM_MILVUS_CLIENT_KEY": str(tmp_path / "key.pem")})


# Files are data


def test_the_names_in_an_archive_lead_nowhere(tmp_path):
    """Shards are read as streams, and never unpacked: a name is a name."""
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
    assert {row["image"] for row in rows} == {b"x"}
    assert len(rows) == len(names)
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
        options = {each.arg: ast.unparse(each.value) for each in call.keywords}
        if name == "torch.load":
            assert options.get("weights_only") == "True"
        if name in {"yaml.load", "eval", "exec", "os.system"}:
            pytest.fail(f"{name} in {path}")


def test_time_is_not_wasted_on_a_silent_server(monkeypatch):
    """The other end takes the connection and says nothing: an error within the time."""
    monkeypatch.setattr("mm_milvus.store.connection.CONNECT_TIMEOUT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(StoreError, match="check that the server runs"):
            Store(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - start < 30
