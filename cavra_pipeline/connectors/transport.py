"""Sends one HTTP request with a time limit for each phase; a failure has one of our own reasons.

What belongs here: connecting (directly or through a proxy), TLS, the deadline, the bytes of an answer.
What does not: what is sent (requests), what an answer means (grading), whether it is sent again (deliver).

Nothing of the transport's own leaves this module: its exceptions and log lines hold addresses, and the address
of a webhook is a credential.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import queue
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import httpcore

from cavra_pipeline.connectors.secret import Secret

_WRITE_BYTES: Final = 4096

# ssl.SSLCertVerificationError.verify_code: the X509_V_ERR_ numbers of OpenSSL's x509_vfy.h
_CERTIFICATE_REASONS: Final = {
    9: "tls_certificate_not_yet_valid",
    10: "tls_certificate_expired",
    18: "tls_certificate_self_signed",
    19: "tls_unknown_authority",
    20: "tls_unknown_authority",
    21: "tls_unknown_authority",
    23: "tls_certificate_revoked",
    62: "tls_hostname_mismatch",
    64: "tls_hostname_mismatch",
}
_UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})


class Route:
    """Route to an address. A plain class: what turns a connector's fields into a document copies no TLS context.

    Attributes:
        tls: The authorities that vouch for it.
        proxy: Proxy for ``https`` addresses, as ``http(s)://[user:password@]host:port``; None for a direct connection.
    """

    __slots__ = ("proxy", "tls")

    def __init__(self, tls: ssl.SSLContext, proxy: Secret | None = None) -> None:
        self.tls, self.proxy = tls, proxy

    def __deepcopy__(self, memo: dict[int, Any]) -> Route:
        return self


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for each phase of an exchange, and the bytes of an answer that are read.

    Attributes:
        connect: Name resolution, connection, proxy and TLS together.
        write: The whole request.
        read: The whole answer, from the request's last byte to the answer's last, head included.
        body_bytes: A longer body counts as not read.
    """

    connect: float
    write: float
    read: float
    body_bytes: int


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """The answer to a request; its repr shows the status only.

    Attributes:
        status: Status code.
        headers: Names in lower case with their values, in order; a name may come several times.
        body: None if it did not arrive whole, not in time, over the limit, or compressed although that was declined.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)

    def values(self, name: str) -> list[str]:
        """Returns the values of every header of that name."""
        return [value for key, value in self.headers if key == name]


class Unanswered(Exception):
    """No answer arrived.

    Attributes:
        reason: Why, as a code of ours.
        was_sent: Whether the other side may have the request.
    """

    def __init__(self, reason: str, *, was_sent: bool) -> None:
        super().__init__(reason)
        self.reason, self.was_sent = reason, was_sent


def exchange(
    route: Route,
    method: str,
    url: Secret,
    headers: Mapping[str, str],
    body: bytes,
    *,
    limits: Limits,
    monotonic: Callable[[], float],
) -> ProviderResponse:
    """Sends one request over a connection of its own and returns the answer. Redirects are not followed.

    Args:
        route: How the address is reached.
        method: HTTP method.
        url: Absolute address, ``http`` or ``https``.
        headers: Every header but ``Host`` and ``Content-Length``.
        body: Content.
        limits: Seconds and bytes.
        monotonic: Measures the phases.

    Raises:
        Unanswered: There is no answer; the reason holds nothing of the address.
    """
    phases = _Phases(limits, monotonic)
    parts = urlsplit(url.reveal())
    proxy = _proxy(route) if route.proxy and parts.scheme == "https" else None
    target = httpcore.URL(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port,
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
    )
    with silent_transport():
        try:
            backend = _Backend(phases, is_proxied=proxy is not None, is_tls_to_proxy=_is_https(route.proxy))
            with (
                httpcore.ConnectionPool(
                    ssl_context=route.tls, proxy=proxy, network_backend=backend, max_keepalive_connections=0
                ) as pool,
                pool.stream(
                    method,
                    target,
                    headers=[("Host", parts.netloc), *headers.items()],
                    content=body,
                    extensions={"trace": phases.trace},
                ) as response,
            ):
                head = tuple((k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in response.headers)
                return ProviderResponse(response.status, head, _body(response, head, limits.body_bytes))
        except Unanswered:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever the transport raises may hold the address
            reason, was_sent = _why(error, phases, is_proxied=proxy is not None)
    raise Unanswered(reason, was_sent=was_sent)


def _is_https(proxy: Secret | None) -> bool:
    return proxy is not None and proxy.reveal().startswith("https:")


def _proxy(route: Route) -> httpcore.Proxy | None:
    if route.proxy is None:
        return None
    parts = urlsplit(route.proxy.reveal())
    port = parts.port or (443 if parts.scheme == "https" else 80)
    url = httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=port, target="/")
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return httpcore.Proxy(url, auth=auth, ssl_context=route.tls if parts.scheme == "https" else None)


def _body(response: httpcore.Response, head: Iterable[tuple[str, str]], most: int) -> bytes | None:
    if any(name == "content-encoding" and value.strip().lower() not in ("", "identity") for name, value in head):
        return None
    body = b""
    try:
        for chunk in response.iter_stream():
            body += chunk
            if len(body) > most:
                return None
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
        return None
    return body


@dataclass(slots=True)
class _Phases:
    """The phase an exchange is in and when that phase ends."""

    limits: Limits
    monotonic: Callable[[], float]
    was_sent: bool = False
    ends_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.ends_at = self.monotonic() + self.limits.connect

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Begins a phase; an event of the CONNECT request to a proxy still belongs to connecting."""
        request = info.get("request")
        if not isinstance(request, httpcore.Request) or request.method == b"CONNECT":
            return
        if event == "http11.send_request_headers.started":
            self.was_sent = True
            self.ends_at = self.monotonic() + self.limits.write
        elif event == "http11.receive_response_headers.started":
            self.ends_at = self.monotonic() + self.limits.read

    def left(self, error: type[Exception]) -> float:
        """Returns the seconds that are left of the phase; raises `error` if there are none."""
        seconds = self.ends_at - self.monotonic()
        if seconds <= 0:
            raise error
        return seconds


class _Stream(httpcore.NetworkStream):
    """A connection whose every operation ends with the phase, however little arrives at a time."""

    def __init__(self, inner: httpcore.NetworkStream, phases: _Phases, tls_prefixes: list[str]) -> None:
        self._inner, self._phases, self._tls_prefixes = inner, phases, tls_prefixes

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 -- the phase decides
        return self._inner.read(max_bytes, self._phases.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        for start in range(0, len(buffer), _WRITE_BYTES):
            self._inner.write(buffer[start : start + _WRITE_BYTES], self._phases.left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        prefix = self._tls_prefixes.pop(0) if self._tls_prefixes else ""
        try:
            left = self._phases.left(httpcore.ConnectTimeout)
            inner = self._inner.start_tls(ssl_context, server_hostname, left)
        except httpcore.ConnectError as error:
            reason = _tls_reason(error.__cause__)
        except httpcore.TimeoutException:
            reason = "connect_timeout"
        except (OSError, ValueError):  # TLS inside TLS is not translated; an invalid name is a ValueError
            reason = "tls_failed"
        else:
            return _Stream(inner, self._phases, self._tls_prefixes)
        self._inner.close()
        raise Unanswered(prefix + reason, was_sent=False)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _tls_reason(cause: BaseException | None) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _CERTIFICATE_REASONS.get(cause.verify_code, "tls_certificate_invalid")
    return "tls_failed"


class _Backend(httpcore.NetworkBackend):
    """Connects within the phase and says which part of connecting failed."""

    def __init__(self, phases: _Phases, *, is_proxied: bool, is_tls_to_proxy: bool) -> None:
        self._phases = phases
        self._prefix = "proxy_" if is_proxied else ""
        self._tls_prefixes = ["proxy_"] if is_proxied and is_tls_to_proxy else []
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 -- the phase decides
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        reason = "name_not_resolved"
        addresses = self._resolve(host, port)
        for number, address in enumerate(addresses):
            try:
                # an address that swallows everything leaves time for those after it
                share = self._phases.left(httpcore.ConnectTimeout) / (len(addresses) - number)
                stream = self._inner.connect_tcp(address, port, share, local_address, socket_options)
            except httpcore.ConnectTimeout:
                reason = "connect_timeout"
            except httpcore.ConnectError as error:
                reason = _connect_reason(error.__cause__)
            else:
                return _Stream(stream, self._phases, self._tls_prefixes)
        raise Unanswered(self._prefix + reason, was_sent=False)

    def _resolve(self, host: str, port: int) -> list[str]:
        """Returns the addresses of a name; the resolver has no time limit, so its thread may be abandoned."""
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        addresses: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

        def resolve() -> None:
            try:
                rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                rows = []
            addresses.put(list(dict.fromkeys(str(row[4][0]) for row in rows)))

        threading.Thread(target=resolve, name="resolve a connector's host", daemon=True).start()
        try:
            return addresses.get(timeout=self._phases.left(httpcore.ConnectTimeout))
        except queue.Empty:
            return []


def _connect_reason(cause: BaseException | None) -> str:
    if isinstance(cause, ConnectionRefusedError):
        return "connection_refused"
    if isinstance(cause, OSError) and cause.errno in _UNREACHABLE:
        return "network_unreachable"
    return "connect_failed"


def _why(error: Exception, phases: _Phases, *, is_proxied: bool) -> tuple[str, bool]:
    if isinstance(error, httpcore.LocalProtocolError | httpcore.UnsupportedProtocol | ValueError):
        return "request_not_sendable", False
    if phases.was_sent:
        is_late = isinstance(error, httpcore.TimeoutException)
        return ("timeout_after_send" if is_late else "connection_lost_after_send"), True
    if isinstance(error, httpcore.ProxyError):
        status = re.match(r"[1-5][0-9]{2}\b", str(error))
        if status and status[0] == "407":
            return "proxy_authentication_required", False
        return f"proxy_http_{status[0]}" if status else "proxy_failed", False
    if isinstance(error, httpcore.TimeoutException):
        return "proxy_timeout" if is_proxied else "connect_timeout", False
    return "proxy_failed" if is_proxied else "connect_failed", False


_sending: ContextVar[bool] = ContextVar("cavra_connectors_sending", default=False)

# httpcore writes hosts and headers at DEBUG
_TRANSPORT_LOGGERS: Final = (
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)


def _not_sending(_record: logging.LogRecord) -> bool:
    return not _sending.get()


@contextmanager
def silent_transport() -> Iterator[None]:
    """Keep the transport's log lines about our requests, and only those, out of every log."""
    for name in _TRANSPORT_LOGGERS:
        logging.getLogger(name).addFilter(_not_sending)  # adding it again changes nothing
    token = _sending.set(True)
    try:
        yield
    finally:
        _sending.reset(token)
