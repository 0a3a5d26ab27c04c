"""A TCP proxy whose connections can be delayed, held and reset."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

READ_BYTES = 4096
POLL_S = 0.05
RESET = struct.pack("ii", 1, 0)
"""Do not linger: closing sends a reset instead of the end of the stream."""


class Proxy:
    """Passes bytes on to a server.

    Attributes:
        delay_s: How long each piece of at most 4 KiB waits.
        held: While it is set, nothing passes and no connection ends, as when a cable is pulled.
        passed: How many bytes have passed.
    """

    def __init__(self, uri: str, tls: ssl.SSLContext | None) -> None:
        self.lead_to(uri)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if tls else "http"
        self.uri = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self.delay_s = 0.0
        self.held = threading.Event()
        self.passed = 0
        self._cut_at: int | None = None
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, uri: str) -> None:
        """Pass new connections on to the server at this URI."""
        address = urlsplit(uri)
        self._server = (address.hostname, address.port)

    def reset_after(self, count: int) -> None:
        """Reset all connections once `count` more bytes have passed."""
        self._cut_at = self.passed + count

    def reset(self) -> None:
        """Reset all connections; new ones are accepted."""
        self._cut_at = None
        for end in self._open:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def close(self) -> None:
        """Accept no more connections, and reset the open ones."""
        self._listener.close()
        self.reset()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._connect(near)

    def _connect(self, near: socket.socket) -> None:
        if self._tls is not None:
            try:
                near = self._tls.wrap_socket(near, server_side=True)
            except OSError:  # one side rejected the certificate of the other
                return
        try:
            far = socket.create_connection(self._server)
        except OSError:  # the server is away
            near.close()
            return
        self._open += [near, far]
        for ends in ((near, far), (far, near)):
            threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(READ_BYTES):
                while self.held.is_set():
                    time.sleep(POLL_S)
                time.sleep(self.delay_s)
                target.sendall(data)
                self.passed += len(data)
                if self._cut_at is not None and self.passed >= self._cut_at:
                    self.reset()
        source.close()
        target.close()


@contextmanager
def proxied(uri: str, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """Yield a proxy in front of the server at the URI; with a context, one that speaks TLS."""
    proxy = Proxy(uri, tls)
    try:
        yield proxy
    finally:
        proxy.close()
