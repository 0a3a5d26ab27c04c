"""Opening and closing stores, and the messages when a store cannot be opened."""

from __future__ import annotations

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from mm_milvus.errors import StoreError
from mm_milvus.store.address import checked_uri, public_uri
from mm_milvus.store.connection import Store, is_missing_file


def reason(uri: str, **options: str) -> str:
    with pytest.raises(StoreError) as error:
        Store(uri, **options)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_a_server_that_is_down_is_named_with_a_remedy():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    message = reason(f"http://127.0.0.1:{port}")
    assert f"cannot open http://127.0.0.1:{port}" in message
    assert "check that the server runs" in message


def test_a_secret_is_never_shown():
    message = reason("http://root:s3cret-word@127.0.0.1:1", token="root:s3cret-word")
    assert "s3cret-word" not in message


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://user:word@host:19530/db", "http://host:19530/db"),
        ("http://host:19530", "http://host:19530"),
        ("./a@b.db", "./a@b.db"),
    ],
)
def test_public_uri_has_no_password(uri, shown):
    assert public_uri(uri) == shown


def test_a_local_path_must_end_in_db(tmp_path):
    assert "write " in reason(str(tmp_path / "store"))


def test_a_missing_parent_folder_is_named(tmp_path):
    assert "does not exist" in reason(str(tmp_path / "nowhere" / "store.db"))


def test_another_scheme_is_rejected():
    assert "http://" in reason("mysql://host/db")


def test_a_plain_file_is_not_a_store(tmp_path):
    path = tmp_path / "old.db"
    path.write_bytes(b"something else")
    assert "it is a file, and Milvus Lite 3 keeps a folder" in reason(str(path))
    path.write_bytes(b"SQLite format 3\0 and pages")
    assert "it is a file of Milvus Lite 2" in reason(str(path))
    assert "ingest the dataset again" in reason(str(path))
    assert path.read_bytes() == b"SQLite format 3\0 and pages"


@pytest.mark.parametrize("uri", ["HTTP://HOST:1", "Https://h", "TCP://u:p@h:1/x", "unix:/x.sock"])
def test_the_scheme_of_a_server_may_have_any_case(uri):
    scheme, _, rest = uri.partition(":")
    assert checked_uri(uri) == f"{scheme.lower()}:{rest}"


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("http://[::1]:19530", "by an IPv6 address; give the host a name"),
        ("HTTP://u:s3cret-word@[2001:db8::7]", "by an IPv6 address; give the host a name"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://u:s3cret-word@host:99999", "Port out of range"),
        ("http://u:s3cret-word@host:port", "Port could not be cast"),
        ("http://", "names no host"),
        ("http://:19530", "names no host"),
        ("MYSQL://u:s3cret-word@host/db", "Milvus is reached by http://"),
        ("file:///tmp/x.db", "Milvus is reached by http://"),
        ("localhost:19530", "ends in .db"),
        ("", "ends in .db"),
        ("a\0.db", "no NUL character"),
        ("~no-such-user-here/x.db", "Could not determine home directory"),
        (5, "given as int"),
        (b"x.db", "given as bytes"),
        (None, "given as NoneType"),
    ],
)
def test_a_uri_that_names_no_store_is_refused_with_the_reason(uri, why):
    message = reason(uri)
    assert why in message
    assert "s3cret-word" not in message


def test_every_spelling_of_a_path_is_one_store(tmp_path, monkeypatch):
    (tmp_path / "conf").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "linked").symlink_to("data")
    path = tmp_path / "data" / "store.db"
    (tmp_path / "link.db").symlink_to(path)
    (tmp_path / "plain").symlink_to(path.parent)
    monkeypatch.chdir(tmp_path / "conf")
    monkeypatch.setenv("HOME", str(tmp_path))
    spellings = [
        *(path, str(path), "../data/store.db", "./../data/.//store.db", "../linked/store.db"),
        *("../link.db", "~/data/../plain/store.db", "../conf/../link.db"),
    ]
    with Store(path) as first:
        for spelling in spellings:
            for other in spellings:
                with Store(spelling) as second, Store(other):
                    assert second.client.list_collections() == []
        assert first.client.list_collections() == []
    in_another_process = "import sys; from mm_milvus import Store; Store(sys.argv[1]).close()"
    subprocess.run([sys.executable, "-c", in_another_process, path], check=True)


def test_a_link_without_the_suffix_of_its_target_is_one_store(tmp_path):
    folder, link = tmp_path / "folder", tmp_path / "link.db"
    folder.mkdir()
    link.symlink_to(folder)
    other = tmp_path / "other.db"
    other.symlink_to(link)
    with Store(link) as first:
        Store(other).close()
        assert first.client.list_collections() == []


def test_a_loop_of_links_is_refused(tmp_path):
    path = tmp_path / "loop.db"
    path.symlink_to(path)
    assert "loop" in reason(str(path))


def test_a_file_that_another_process_has_open_says_so(tmp_path):
    path = str(tmp_path / "store.db")
    program = (
        "import sys; from mm_milvus import Store; c = Store(sys.argv[1]); "
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "open\n"
        assert "another process has it open; close the other process" in reason(path)
        other.stdin.close()
    Store(path).close()


def test_a_closed_file_can_be_opened_by_another_process(tmp_path):
    path = str(tmp_path / "store.db")
    assert is_missing_file(path)
    Store(path).close()
    assert not is_missing_file(path)
    program = "import sys; from mm_milvus import Store; Store(sys.argv[1]).close()"
    subprocess.run([sys.executable, "-c", program, path], check=True)


def test_stores_of_one_process_share_a_file(tmp_path):
    path = str(tmp_path / "store.db")
    with Store(path) as first:
        Store(path).close()
        assert first.client.list_collections() == []


def test_threads_open_and_close_one_file_at_the_same_time(tmp_path):
    path = str(tmp_path / "store.db")

    def use(_):
        with Store(path) as store:
            return store.client.list_collections()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(40))) == [[]] * 40
