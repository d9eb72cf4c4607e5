"""Serves the application with uvicorn: what may listen where, and what a connection may take."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from cavra_pipeline.addresses import is_loopback
from cavra_pipeline.api.access import TokenFile
from cavra_pipeline.api.guard import MAX_HEAD_BYTES
from cavra_pipeline.errors import UsageError

HEADER_SECONDS: Final = 10.0
_MOST_CONNECTIONS: Final = 1000


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a limit on the time that the head of a request may take to arrive."""

    _alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock for the first request."""
        super().connection_made(transport)
        # An access line of uvicorn's shows the query, which may hold anything; the guard writes one without it.
        self.access_log = False
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Stops the clock when a head is whole; starts it where one has begun."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._alarm is None:
            self._alarm = self.loop.call_later(HEADER_SECONDS, self._end)

    def _stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _end(self) -> None:
        self._alarm = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()


def check_exposure(host: str, tokens: TokenFile | None) -> None:
    """Refuses to be open to other machines.

    Raises:
        UsageError: The host is not loopback and there is no token file.
    """
    if tokens is None and not is_loopback(host):
        raise UsageError(
            "without tokens the API is served on loopback only",
            where=f"--host {host[:100]}",
            remedy="Set CAVRA_API_TOKENS to a file made with cavra-pipeline api-token, or leave --host out",
        )


def hosts_of(host: str, allowed: tuple[str, ...]) -> tuple[str, ...] | None:
    """Returns the names by which the service may be asked for; None for any, where only tokens protect it."""
    if is_loopback(host):
        return ("localhost", "127.0.0.1", "::1", host, *allowed)
    if allowed:
        return (host, *allowed)
    return None


def server_of(app: Any, *, host: str, port: int) -> uvicorn.Server:
    """Returns the server, ready to run."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=10,
    )
    return uvicorn.Server(config)
