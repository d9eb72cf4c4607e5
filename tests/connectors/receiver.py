"""A real HTTP receiver on loopback that answers as scripted and remembers what came.

    with Receiver() as receiver:
        url = receiver.script("/hook", answer(503), answer(200))
        ...
        assert [request.header("webhook-id") for request in receiver.requests("/hook")] == ["d-1", "d-1"]

The last answer of a script is repeated. A path without a script answers 404.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal

from tests.connectors.certificates import Certificate

Behaviour = Literal[
    "answer", "hang", "reset", "closed", "no_http", "reset_in_body", "cut_chunks", "slow_body", "slow_head",
    "endless_head",
]  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What the receiver does with one request, after it has stored it."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    behaviour: Behaviour = "answer"
    seconds_between_bytes: float = 0.05


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def answer(status: int = 200, body: bytes | str = b"", **headers: str | tuple[str, ...]) -> Answer:
    """An ordinary answer; header names are written with underscores, and a header may come several times."""
    content = body.encode() if isinstance(body, str) else body
    return Answer(status, content, {name.replace("_", "-"): value for name, value in headers.items()})


def throttled(seconds: int) -> Answer:
    """429, come back in so many seconds."""
    return answer(429, Retry_After=str(seconds))


def throttled_until(instant: datetime) -> Answer:
    """429, come back at that instant."""
    return answer(429, Retry_After=format_datetime(instant, usegmt=True))


def hang() -> Answer:
    """The request is stored and never answered, until the receiver closes."""
    return Answer(behaviour="hang")


def reset() -> Answer:
    """The request is stored, then the connection is reset without an answer."""
    return Answer(behaviour="reset")


def reset_in_body(status: int = 200) -> Answer:
    """Status line and headers are answered, then the connection is reset."""
    return Answer(status, b"half of it", behaviour="reset_in_body")


def slow_body(status: int = 200, body: bytes = b"." * 10_000) -> Answer:
    """The headers come at once, the body byte by byte."""
    return Answer(status, body, behaviour="slow_body")


def slow_head(status: int = 200) -> Answer:
    """The head comes byte by byte, from its first one on."""
    return Answer(status, b"ok", behaviour="slow_head")


class Receiver:
    """A threaded HTTP/1.1 server on 127.0.0.1, on a port of its own; over TLS with a certificate."""

    def __init__(self, tls: Certificate | None = None, *, host: str = "127.0.0.1") -> None:
        """Listen; requests are served from `__enter__` on."""
        self._lock = threading.Condition()
        self._scripts: dict[str, list[Answer]] = {}
        self._received: list[Received] = []
        self.closing = threading.Event()
        self._host = host
        self._server = _Server((host, 0), _Handler)
        self._server.receiver = self
        self._scheme = "https" if tls else "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.pem, tls.key)
            self._server.tls = context
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """The address without a path."""
        return f"{self._scheme}://{self._host}:{self.port}"

    @property
    def port(self) -> int:
        """The port alone."""
        return self._server.server_port

    def script(self, path: str, *answers: Answer) -> str:
        """Answer requests to `path` in this order from now on; returns the address."""
        with self._lock:
            self._scripts[path] = list(answers)
        return self.base_url + path

    def requests(self, path: str | None = None) -> list[Received]:
        """What came so far, in order: to one path, query aside, or to all."""
        with self._lock:
            return [one for one in self._received if path is None or one.path.split("?")[0] == path]

    def wait_for(self, path: str, count: int, seconds: float = 10) -> list[Received]:
        """The requests to one path, once there are `count`: a client that gave up may be faster."""
        with self._lock:
            self._lock.wait_for(lambda: self._count(path) >= count, seconds)
        return self.requests(path)

    def _count(self, path: str) -> int:
        return sum(one.path.split("?")[0] == path for one in self._received)

    def take(self, received: Received) -> Answer:
        """Store the request, then say what to do with it."""
        with self._lock:
            self._received.append(received)
            self._lock.notify_all()
            script = self._scripts.get(received.path.split("?")[0])
            if not script:
                return Answer(404)
            return script.pop(0) if len(script) > 1 else script[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    receiver: Receiver
    tls: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection; its handshake waits for the thread that serves it, so that it holds up nobody else."""
        connection, address = super().get_request()
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the script."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        received = Received(self.command, self.path, tuple(self.headers.items()), body)
        planned = self.server.receiver.take(received)
        if planned.behaviour == "hang":
            self.server.receiver.closing.wait()
            self.close_connection = True
        elif planned.behaviour == "reset":
            self._reset()
        elif planned.behaviour == "closed":
            self.close_connection = True
        elif planned.behaviour == "no_http":
            self.wfile.write(b"SSH-2.0-receiver\r\n")
            self.close_connection = True
        elif planned.behaviour == "slow_head":
            self._answer_slowly(planned)
        elif planned.behaviour == "endless_head":
            more = b"".join(b"X-%d: more\r\n" % number for number in range(20_000))
            self.wfile.write(b"HTTP/1.1 %d OK\r\n" % planned.status + more)
            self.close_connection = True
        elif planned.behaviour == "cut_chunks":
            self.wfile.write(b"HTTP/1.1 %d OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" % planned.status)
            self.close_connection = True
        else:
            self._answer(planned)

    do_POST = do_PUT = do_GET = do_DELETE = _serve

    def _answer_slowly(self, planned: Answer) -> None:
        head = b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n" % (planned.status, len(planned.body))
        for byte in head + planned.body:
            self.wfile.write(bytes([byte]))
            if self.server.receiver.closing.wait(planned.seconds_between_bytes):
                break
        self.close_connection = True

    def _answer(self, planned: Answer) -> None:
        self.send_response(planned.status)
        for name, values in planned.headers.items():
            for value in [values] if isinstance(values, str) else values:
                self.send_header(name, value)
        if planned.status != 204:
            self.send_header("Content-Length", str(len(planned.body)))
        self.end_headers()
        if planned.behaviour == "slow_body":
            for start in range(len(planned.body)):
                self.wfile.write(planned.body[start : start + 1])
                if self.server.receiver.closing.wait(planned.seconds_between_bytes):
                    self.close_connection = True
                    return
        elif planned.behaviour == "reset_in_body":
            self.wfile.write(planned.body[: len(planned.body) // 2])
            self._reset()
        elif planned.status != 204:
            self.wfile.write(planned.body)

    def _reset(self) -> None:
        # linger 0: closing sends RST instead of FIN
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: a test reads `requests`, not the terminal."""
