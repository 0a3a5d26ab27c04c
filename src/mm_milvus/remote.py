"""Files over HTTP: whole, within time, tried again where that can help, with the real reason.

fsspec's HTTP filesystem is made for random access: it asks for a file's size first, reports every
failure as a missing file, and waits five minutes for a silent server. Images are read whole, so a
request of our own through its session (with the headers, proxies and authentication that were
configured for it) does better.
"""

from __future__ import annotations

import random
import re
import sys
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from mm_milvus.errors import OptionError
from mm_milvus.text import one_line

CHUNK_BYTES = 2**18
MAX_WAIT_S = 60.0
"""Longest wait before another try; a server that asks for more is not tried again."""

FIRST_WAIT_S = 0.5
SLOWEST = 10
"""A file may take this many times `timeout` in all: a trickling server ends as well."""

MISSING_STATUS = frozenset({404, 410})
RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s'\"<>]*[^\s'\"<>.,:;!?)]")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """How files are read over HTTP.

    Attributes:
        connect_timeout: Seconds until a connection must be established.
        timeout: Seconds that a server may send nothing.
        retries: How often a request is repeated after a reset connection, or an answer of 429 or
            5xx, with growing waits or after the time that the server names.
        concurrency: Files that are read in parallel.
    """

    connect_timeout: float = 10.0
    timeout: float = 30.0
    retries: int = 3
    concurrency: int = 16

    def __post_init__(self) -> None:
        """Check the values; raise OptionError."""
        for name in ("connect_timeout", "timeout"):
            if not getattr(self, name) > 0:
                raise OptionError(f"`{name}` is {getattr(self, name)}, and must be above 0")
        if self.retries < 0:
            raise OptionError(f"`retries` is {self.retries}, and must be at least 0")
        if self.concurrency < 1:
            raise OptionError(f"`fetch_concurrency` is {self.concurrency}, and must be at least 1")


DEFAULT_FETCH = FetchOptions()


class FetchError(OSError):
    """A file could not be read over HTTP; the message is the reason, without the URL."""


def fetch(fs: Any, url: str, limit: int, options: FetchOptions) -> bytes:
    """Read a whole file over HTTP.

    Args:
        fs: The fsspec HTTP filesystem, whose session is used.
        url: The address.
        limit: Most bytes that are read.
        options: Timeouts and retries.

    Returns:
        The bytes; one more than `limit` where the file is larger.

    Raises:
        FetchError: When the file cannot be read.
    """
    from fsspec.asyn import sync

    content: bytes = sync(fs.loop, _fetch, fs, url, limit, options)
    return content


def exists(fs: Any, url: str, options: FetchOptions) -> bool:
    """Return whether a server has a file, without reading it.

    Args:
        fs: The fsspec HTTP filesystem, whose session is used.
        url: The address.
        options: Timeouts and retries.

    Raises:
        FetchError: When the server gives another answer than the file, or that it has none.
    """
    from fsspec.asyn import sync

    try:
        sync(fs.loop, _fetch, fs, url, 0, options)
    except FetchError as error:
        if getattr(error.__cause__, "status", None) in MISSING_STATUS:
            return False
        raise
    return True


def is_http(fs: Any) -> bool:
    """Return whether an fsspec filesystem is that of HTTP."""
    if fs is None:
        return False
    from fsspec.implementations.http import HTTPFileSystem

    return isinstance(fs, HTTPFileSystem)


async def _fetch(fs: Any, url: str, limit: int, options: FetchOptions) -> bytes:
    import asyncio

    import aiohttp

    session = await fs.set_session()
    keywords = dict(fs.kwargs)
    keywords["timeout"] = aiohttp.ClientTimeout(
        total=options.timeout * SLOWEST,
        sock_connect=options.connect_timeout,
        sock_read=options.timeout,
    )
    tries = options.retries + 1
    for attempt in range(tries):
        try:
            async with session.get(fs.encode_url(url), **keywords) as answer:
                answer.raise_for_status()
                return await _read(answer, limit)
        except Exception as error:  # aiohttp, asyncio, ssl and socket have errors of their own
            wait = _wait(error, attempt)
            if wait is None or attempt + 1 == tries:
                raise FetchError(failure(error, options, tries=attempt + 1)) from error
            await asyncio.sleep(wait)
    raise AssertionError("the last try returns or raises")


async def _read(answer: Any, limit: int) -> bytes:
    """Read until the end, or one byte beyond the limit."""
    content = bytearray()
    async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
        content += chunk
        if len(content) > limit:
            break
    return bytes(content[: limit + 1])


def _wait(error: Exception, attempt: int) -> float | None:
    """Return the seconds to wait before another try; None where none would help."""
    import aiohttp

    backoff = FIRST_WAIT_S * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
    if isinstance(error, aiohttp.ClientResponseError):
        if error.status not in RETRIED_STATUS:
            return None
        asked = _retry_after(error)
        wait = backoff if asked is None else asked
        return wait if wait <= MAX_WAIT_S else None
    if isinstance(error, TimeoutError | aiohttp.ClientConnectorError):
        return None
    lost = (
        aiohttp.ServerDisconnectedError
        | aiohttp.ClientOSError
        | aiohttp.ClientPayloadError
        | ConnectionError
    )
    return backoff if isinstance(error, lost) else None


def _retry_after(error: Any) -> float | None:
    """Return the seconds of a Retry-After header, which has a number or a date (RFC 9110)."""
    from email.utils import parsedate_to_datetime

    value = (error.headers or {}).get("Retry-After", "")
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def failure(error: BaseException, options: FetchOptions, *, tries: int) -> str:
    """Return why a request failed, as one line without the URL."""
    import socket
    import ssl

    import aiohttp

    often = f" ({tries} tries)" if tries > 1 else ""
    match error:
        case aiohttp.TooManyRedirects():
            return "the server redirects in circles"
        case aiohttp.ClientResponseError():
            return f"the server answers {error.status} {one_line(error.message)}".rstrip() + often
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            return f"the server's certificate is not valid: {_certificate(error)}"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return "the server does not speak TLS, or another version of it"
        case aiohttp.ClientConnectorDNSError() | socket.gaierror():
            return "the host is unknown"
        case aiohttp.ConnectionTimeoutError():
            return f"no connection within {options.connect_timeout:g} s"
        case TimeoutError():
            return f"the server sent nothing for {options.timeout:g} s, or took too long"
        case aiohttp.ClientConnectorError():
            return f"no connection: {one_line(error.os_error.strerror or error.os_error)}"
        case (
            aiohttp.ClientPayloadError()
            | aiohttp.ServerDisconnectedError()
            | aiohttp.ClientOSError()
            | ConnectionError()
        ):
            return f"the server closed the connection before the end{often}"
        case aiohttp.InvalidURL() | ValueError():
            return "it is not a valid URL"
    return without_secrets(one_line(error))


def http_failure(error: BaseException) -> str | None:
    """Return why a request failed that fsspec made itself; None for an error of another kind."""
    aiohttp = sys.modules.get("aiohttp")
    if aiohttp is None:
        return None
    # fsspec reports every failure as a missing file, and keeps the reason as its cause.
    for candidate in (error, error.__cause__):
        if isinstance(candidate, aiohttp.ClientError):
            return failure(candidate, DEFAULT_FETCH, tries=1)
    return None


def _certificate(error: Any) -> str:
    inner = getattr(error, "certificate_error", error)
    return one_line(getattr(inner, "verify_message", "") or inner)


def without_secrets(text: str) -> str:
    """Return a text in which no URL has a user, password or query, which may be secrets."""
    return _URL.sub(lambda match: _public(match[0]), text)


def _public(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("?")[0]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", parts.fragment))
