"""Files over HTTP: whole, within time, tried again where that helps, with the real reason."""

from __future__ import annotations

import time

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_milvus.errors import OptionError
from mm_milvus.remote import FetchError, FetchOptions, fetch, without_secrets
from webserver import web_server

LIMIT = 8 * 2**20
QUICK = FetchOptions(connect_timeout=1, timeout=0.4, retries=2)


@pytest.fixture(scope="module")
def web():
    with web_server() as server:
        server.files = {"small": b"x" * 10, "empty": b"", "large": bytes(range(256)) * 16_384}
        yield server


def get(url: str, options: FetchOptions = QUICK, limit: int = LIMIT) -> bytes:
    return fetch(fsspec.filesystem("http"), url, limit, options)


@pytest.mark.parametrize("name", ["small", "empty", "large"])
@pytest.mark.parametrize(
    "manner", ["plain", "chunked", "slow", "reset/2", "status/503/2", "after/429/0/1", "redirect/5"]
)
def test_the_whole_file_is_read(web, manner, name):
    assert get(f"{web.url}/{manner}/{name}") == web.files[name]


def test_no_more_is_read_than_the_limit(web):
    for manner in ("plain", "chunked"):
        assert get(f"{web.url}/{manner}/large", limit=1000) == web.files["large"][:1001]


def test_one_request_is_enough(web):
    get(f"{web.url}/plain/once/small")
    assert web.requests["/plain/once/small"] == 1


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/plain/missing", "the server answers 404 Not Found"),
        ("/status/401/9/small", "the server answers 401 Unauthorized"),
        ("/status/403/9/small", "the server answers 403 Forbidden"),
        ("/status/410/9/small", "the server answers 410 Gone"),
        ("/status/429/9/large", r"the server answers 429 Too Many Requests \(3 tries\)"),
        ("/status/500/9/large", r"the server answers 500 Internal Server Error \(3 tries\)"),
        ("/after/503/9999/9/small", "the server answers 503 Service Unavailable"),
        ("/short/large", r"the server closed the connection before the end \(3 tries\)"),
        ("/reset/9/large", r"the server closed the connection before the end \(3 tries\)"),
        ("/silent/small", "the server sent nothing for 0.4 s"),
        ("/stalled/large", "the server sent nothing for 0.4 s"),
        ("/loop/small", "the server redirects in circles"),
    ],
)
def test_a_failure_has_the_real_reason(web, path, reason):
    with pytest.raises(FetchError, match=rf"^{reason}"):
        get(web.url + path)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/x.jpg", "no connection: Connect call failed|refused"),
        ("http://no-such-host.invalid/x.jpg", "the host is unknown"),
        ("http://[::1/x.jpg", "it is not a valid URL"),
    ],
)
def test_an_address_without_a_server_has_the_real_reason(url, reason):
    with pytest.raises(FetchError, match=reason):
        get(url)


def test_a_server_without_tls_has_the_real_reason(web):
    with pytest.raises(FetchError, match="the server does not speak TLS"):
        get(f"https://127.0.0.1:{web.server_port}/plain/small")


def test_the_time_that_a_server_names_is_waited(web):
    path = "/after/429/1/1/wait/small"
    with pytest.raises(FetchError):
        get(web.url + path, FetchOptions(retries=0))
    assert get(web.url + path) == web.files["small"]
    path = "/after/503/1/1/again/small"
    assert get(web.url + path) == web.files["small"]
    first, second = web.times[path]
    assert second - first >= 1


def test_a_silent_server_costs_no_more_than_the_timeout(web):
    started = time.monotonic()
    with pytest.raises(FetchError):
        get(f"{web.url}/silent/small", FetchOptions(timeout=0.5))
    assert time.monotonic() - started < 3


@given(
    user=st.sampled_from(["", "me@", "me:p4ss@"]),
    query=st.sampled_from(["", "?sig=s3cret", "?a=1&token=s3cret#part"]),
)
def test_no_secret_of_a_url_is_shown(user, query):
    shown = without_secrets(f"cannot read https://{user}host/a/b.jpg{query}: it is gone")
    assert "p4ss" not in shown
    assert "s3cret" not in shown
    assert "https://host/a/b.jpg" in shown
    assert shown.endswith(": it is gone")


@pytest.mark.parametrize("options", [{"connect_timeout": 0}, {"timeout": -1}, {"retries": -1}])
def test_bad_options_are_refused(options):
    with pytest.raises(OptionError):
        FetchOptions(**options)
