"""A web server with the manners of real ones: chunked, slow, silent, resetting, redirecting."""

from __future__ import annotations

import http.server
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

CHUNK = 65_536


class WebServer(http.server.ThreadingHTTPServer):
    """Serves `files` by name, below a folder that says how.

    /plain/NAME        with Content-Length
    /chunked/NAME      without it
    /slow/NAME         in ten pieces, 0.05 s apart
    /silent/NAME       accepts the connection and never answers
    /stalled/NAME      sends the head and half of the body, and then nothing
    /short/NAME        closes after half of what Content-Length promised
    /reset/N/NAME      resets the connection N times, then serves
    /status/CODE/N/NAME            answers CODE N times, then serves
    /after/CODE/SECONDS/N/NAME     the same, with Retry-After
    /redirect/N/NAME   N redirects, then serves
    /loop/NAME         redirects to itself
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.requests: Counter[str] = Counter()
        self.times: dict[str, list[float]] = {}
        self.lock = threading.Lock()
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        """A client that went away is no error here."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WebServer

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve(body=False)

    def do_GET(self) -> None:
        self._serve(body=True)

    def _serve(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        with self.server.lock:
            self.server.requests[path] += 1
            self.server.times.setdefault(path, []).append(time.monotonic())
            count = self.server.requests[path]
        manner, *rest = path.strip("/").split("/")
        data = self.server.files.get(rest[-1] if rest else "")
        if data is None:
            self._answer(404, b"")
        elif manner == "silent":
            self.server.ended.wait(60)
        elif manner == "reset" and count <= int(rest[0]):
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
        elif manner == "status" and count <= int(rest[1]):
            self._answer(int(rest[0]), b"no")
        elif manner == "after" and count <= int(rest[2]):
            self._answer(int(rest[0]), b"no", retry_after=rest[1])
        elif manner == "redirect" and int(rest[0]):
            self._answer(302, b"", location=f"/redirect/{int(rest[0]) - 1}/{rest[1]}")
        elif manner == "loop":
            self._answer(302, b"", location=self.path)
        elif manner == "chunked":
            self._chunked(data, body=body)
        elif manner in ("short", "stalled"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            if manner == "stalled":
                self.server.ended.wait(60)
            self.close_connection = True
        else:
            self._answer(200, data if body else b"", pause=0.05 if manner == "slow" else 0)

    def _answer(self, code: int, data: bytes, *, pause: float = 0, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        size = max(1, len(data) // 10) if pause else max(1, len(data))
        for start in range(0, len(data), size):
            self.wfile.write(data[start : start + size])
            time.sleep(pause)

    def _chunked(self, data: bytes, *, body: bool) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if not body:
            return
        for start in range(0, len(data), CHUNK):
            piece = data[start : start + CHUNK]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


@contextmanager
def web_server() -> Iterator[WebServer]:
    server = WebServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
