"""Stands before every endpoint: host, origin, token, rate, size and time of a request; headers of every answer."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cavra_pipeline.api.access import LOCAL_ACTOR, SCOPES, Caller, TokenFile
from cavra_pipeline.api.origins import Origins, is_preflight, preflight
from cavra_pipeline.api.problems import HttpProblem
from cavra_pipeline.errors import PipelineError

MAX_BODY_BYTES: Final = 64 * 1024
MAX_TARGET_BYTES: Final = 8 * 1024
MAX_HEAD_BYTES: Final = 16 * 1024
BODY_SECONDS: Final = 10.0
#: Wrong tokens from one client in a minute, after which it must wait.
_WRONG_TOKENS: Final = 100
_MOST_CLIENTS: Final = 10_000
#: First parts of the paths that need a token where there is a token file.
_GUARDED: Final = frozenset({"api", "runtime", "evidence"})
_LENGTH: Final = re.compile(r"[0-9]{1,15}")

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}

_log = logging.getLogger("cavra_pipeline.api")


class _Buckets:
    """Counts down what each client may still do; what it has fills up again evenly."""

    def __init__(self, per_second: float, most: float) -> None:
        self._per_second, self._most = per_second, most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, client: str) -> float:
        """Takes one; returns 0, or the seconds until there is one."""
        now = time.monotonic()
        with self._lock:
            left, since = self._left.pop(client, (self._most, now))
            left = min(self._most, left + (now - since) * self._per_second)
            is_allowed = left >= 1
            self._left[client] = (left - 1 if is_allowed else left, now)
            if len(self._left) > _MOST_CLIENTS:
                self._left.popitem(last=False)
        return 0.0 if is_allowed else (1 - left) / self._per_second


class Guard:
    """ASGI middleware around the whole application.

    Attributes:
        openapi: Makes the document of what it guards.
    """

    openapi: Callable[[], bytes]

    def __init__(
        self,
        app: ASGIApp,
        *,
        tokens: Callable[[], TokenFile | None],
        hosts: Sequence[str] | None,
        requests_per_second: float,
        body_seconds: float = BODY_SECONDS,
        origins: Sequence[str] = (),
    ) -> None:
        """Wraps the application.

        Args:
            app: What is guarded.
            tokens: Returns the tokens; None where the service is open.
            hosts: Names by which it may be asked for; None for any.
            requests_per_second: From one token, or one address where there is none.
            body_seconds: How long a body may take to arrive.
            origins: Origins of pages that may call the API, beside its own.
        """
        self._app, self._tokens, self._body_seconds = app, tokens, body_seconds
        self._origins = Origins(origins)
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._rate = _Buckets(requests_per_second, 2 * requests_per_second)
        self._wrong = _Buckets(_WRONG_TOKENS / 60, _WRONG_TOKENS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it with a problem."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        request_id, started, status = secrets.token_hex(8), time.monotonic(), 0
        admitted = self._origins.admitted(Headers(scope=scope)) if is_guarded(scope["path"]) else None

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers["X-Request-Id"] = request_id
                if is_guarded(scope["path"]):
                    self._origins.mark(headers, admitted)
            await send(message)

        try:
            self._check_head(scope, is_admitted=admitted is not None)
            if admitted and is_preflight(scope):
                self._take_turn(f"address {_client_of(scope)}")
                await preflight()(scope, receive, guarded)
            else:
                receive = await self._admit(scope, receive)
                await self._app(scope, receive, guarded)
        except HttpProblem as problem:
            await problem.response()(scope, receive, guarded)
        except Exception as error:  # noqa: BLE001 -- the last line: nothing of it may reach a client or the log
            _log.error("request %s failed: %s", request_id, type(error).__name__)
            if not status:
                failed = HttpProblem(500, "Something failed on our side; the log has this X-Request-Id.")
                await failed.response()(scope, receive, guarded)
        finally:
            route = scope.get("route")
            path = getattr(route, "path", "-")
            spent = round(1000 * (time.monotonic() - started))
            _log.info("%s %s %s %d %d ms", request_id, scope["method"], path, status, spent)

    def _check_head(self, scope: Scope, *, is_admitted: bool) -> None:
        headers = Headers(scope=scope)
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_TARGET_BYTES:
            raise HttpProblem(413, f"The address is longer than {MAX_TARGET_BYTES} bytes.")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD_BYTES:
            raise HttpProblem(413, f"The head is longer than {MAX_HEAD_BYTES} bytes.")
        self._check_host(headers)
        if not is_admitted:
            self._check_origin(scope, headers)

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        headers, client = Headers(scope=scope), _client_of(scope)
        caller = await self._authenticate(scope["path"], headers, client)
        scope.setdefault("state", {})["caller"] = caller
        self._take_turn(f"token {caller.name}" if caller.has_token else f"address {client}")
        return await self._body(scope, headers, receive)

    def _take_turn(self, client: str) -> None:
        wait = self._rate.take(client)
        if wait:
            raise _too_many(wait)

    def _check_host(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            raise HttpProblem(400, "Exactly one Host is needed.")
        if self._hosts is not None and _host_of(hosts[0]) not in self._hosts:
            raise HttpProblem(421, "Ask for it by the name or address it was started with.")

    @staticmethod
    def _check_origin(scope: Scope, headers: Headers) -> None:
        """Pages of other origins get nothing; a link to the console may be followed from anywhere."""
        is_page = scope["method"] == "GET" and not is_guarded(scope["path"])
        if is_page and headers.get("sec-fetch-mode") == "navigate":
            return
        origin = headers.get("origin")
        is_own = origin is None or urlsplit(origin).netloc.lower() == headers["host"].lower()
        if not is_own or headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise HttpProblem(403, "Pages of other origins may not ask.")

    async def _authenticate(self, path: str, headers: Headers, client: str) -> Caller:
        open_to_all = Caller(LOCAL_ACTOR, frozenset(SCOPES), has_token=False)
        try:
            tokens = self._tokens()
            if tokens is None or not is_guarded(path):
                return open_to_all
            kind, _, token = headers.get("authorization", "").partition(" ")
            caller = None
            if kind.lower() == "bearer" and token:
                caller = await run_in_threadpool(tokens.caller, token.strip())
        except PipelineError as error:
            _log.error("the token file can't be used: %s", error.what)
            raise HttpProblem(
                503, "The tokens can't be checked. Whoever runs the service finds why in its log."
            ) from None
        if caller is not None:
            return caller
        if kind:
            wait = self._wrong.take(client)
            if wait:
                raise _too_many(wait)
        raise HttpProblem(
            401, "Send the header Authorization: Bearer TOKEN.", headers={"WWW-Authenticate": 'Bearer realm="cavra"'}
        )

    async def _body(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Reads the whole body before anything looks at it, within its size and time."""
        length = headers.get("content-length", "0")
        if not _LENGTH.fullmatch(length) or int(length) > MAX_BODY_BYTES:
            raise _too_large()
        if scope["method"] not in ("POST", "PUT", "PATCH"):
            return receive
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise HttpProblem(408, "The request ended before its body did.")
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > MAX_BODY_BYTES:
                        raise _too_large()
        except TimeoutError:
            raise HttpProblem(
                408, f"The body did not arrive within {self._body_seconds:g} seconds.", headers={"Connection": "close"}
            ) from None
        is_sent = False

        async def replay() -> Message:
            nonlocal is_sent
            if is_sent:
                return await receive()
            is_sent = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        return replay


def _client_of(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else "-"


def is_guarded(path: str) -> bool:
    """Returns whether a path needs a token; pages and what says nothing of the evidence do not."""
    return path.lstrip("/").partition("/")[0] in _GUARDED


def _too_large() -> HttpProblem:
    return HttpProblem(413, f"The body is larger than {MAX_BODY_BYTES} bytes.", headers={"Connection": "close"})


def _too_many(wait: float) -> HttpProblem:
    return HttpProblem(429, "Ask less often.", headers={"Retry-After": str(max(1, round(wait)))})


def _host_of(header: str) -> str:
    """The host of a Host header, without its port and the brackets of an address."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]
