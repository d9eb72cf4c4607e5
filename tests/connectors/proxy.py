"""A real proxy on loopback: it takes CONNECT, remembers what was asked, and leads every tunnel where a test says.

    with Proxy(to=receiver.port) as proxy:
        connector = configured("slack", "https://receiver.invalid/hook", {"proxy": proxy.url, "ca_file": ...})

Only the proxy knows the address behind a name, as in a network whose hosts resolve no names of the world outside.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from types import TracebackType

from tests.connectors.certificates import Certificate


class Proxy:
    """Accepts on 127.0.0.1; `asked` holds the head of each request."""

    def __init__(
        self, *, to: int, refuses_with: str | None = None, is_silent: bool = False, tls: Certificate | None = None
    ) -> None:
        """Listen; `refuses_with` is a status line such as `407 Proxy Authentication Required`."""
        self._to, self._refuses_with, self._is_silent = to, refuses_with, is_silent
        self._closing = threading.Event()
        self.asked: list[str] = []
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(tls.pem, tls.key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        """The address, as a setting has it."""
        scheme = "https" if self._context else "http"
        return f"{scheme}://localhost:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._context:
                client = self._context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            with client:
                self._lead(client)

    def _lead(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = client.recv(4096)
            if not chunk:
                return
            head += chunk
        self.asked.append(head.decode("latin-1"))
        if self._is_silent:
            self._closing.wait()
            return
        if self._refuses_with:
            client.sendall(f"HTTP/1.1 {self._refuses_with}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        with socket.create_connection(("127.0.0.1", self._to)) as target:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(target, client), daemon=True)
            back.start()
            _pump(client, target)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
