"""One attempt at one delivery, on the wire.

What belongs here: sending a prepared request, the few tries inside one attempt, and what became of it.
What does not: deciding that there is an attempt at all, remembering it, or planning the next (the worker).

Nothing of the transport leaves this module: its exceptions and its log lines hold addresses, and the address
of a webhook is a credential.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime

import httpx

from cavra_pipeline.connectors.connector import Connector
from cavra_pipeline.connectors.grading import Grade, Verdict
from cavra_pipeline.connectors.notification import Notification
from cavra_pipeline.connectors.providers import PROVIDERS, grade, prepare
from cavra_pipeline.connectors.requests import PreparedRequest
from cavra_pipeline.connectors.retry_after import retry_floor

MAX_IMMEDIATE_TRIES = 5


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """How long to wait, how much to read, how often to try inside one attempt."""

    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 20.0  # Standard Webhooks recommends 15 to 30
    write_timeout_seconds: float = 10.0
    pool_timeout_seconds: float = 5.0
    body_deadline_seconds: float = 10.0
    body_limit_bytes: int = 64 * 1024
    immediate_tries: int = 2
    backoff_base_seconds: float = 0.5
    backoff_cap_seconds: float = 5.0
    max_retry_after_seconds: int = 24 * 60 * 60

    def __post_init__(self) -> None:
        """Refuse a setting that would wait for ever, read without end or hammer."""
        for name in (
            "connect_timeout_seconds",
            "read_timeout_seconds",
            "write_timeout_seconds",
            "pool_timeout_seconds",
            "body_deadline_seconds",
        ):
            if not 0 < getattr(self, name) <= 300:
                raise ValueError(f"{name}: give more than 0 and at most 300 seconds")
        if not 1 <= self.body_limit_bytes <= 1024 * 1024:
            raise ValueError("body_limit_bytes: give 1 to 1048576 bytes")
        if not 1 <= self.immediate_tries <= MAX_IMMEDIATE_TRIES:
            raise ValueError(f"immediate_tries: give 1 to {MAX_IMMEDIATE_TRIES}")
        if not 0 <= self.backoff_base_seconds <= self.backoff_cap_seconds <= 60:
            raise ValueError("backoff_base_seconds, backoff_cap_seconds: give 0 <= base <= cap <= 60 seconds")
        if not 0 <= self.max_retry_after_seconds <= 30 * 24 * 60 * 60:
            raise ValueError("max_retry_after_seconds: give 0 to 2592000 seconds")


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """What became of one attempt; nothing in it comes from the text of an answer."""

    provider: str
    grade: Grade
    status_code: int | None
    attempt_count: int
    started_at: datetime
    completed_at: datetime
    retry_not_before: datetime | None
    reason: str

    @property
    def success(self) -> bool:
        """Whether the provider took the message."""
        return self.grade.success

    @property
    def transient(self) -> bool:
        """Whether a later attempt, with the same id, makes sense."""
        return self.grade.transient


@dataclass(frozen=True, slots=True)
class _Try:
    """One request and its answer, if there was one."""

    verdict: Verdict
    status_code: int | None = None
    floor: datetime | None = None


# before the request went out: nothing can have happened on the other side
_NOT_SENT: tuple[tuple[type[Exception], Verdict], ...] = (
    (httpx.ConnectTimeout, Verdict(Grade.FAILED, "connect_timeout")),
    (httpx.ConnectError, Verdict(Grade.FAILED, "connect_failed")),
    (httpx.PoolTimeout, Verdict(Grade.FAILED, "no_free_connection")),
    (httpx.ProxyError, Verdict(Grade.FAILED, "proxy_failed")),
    (httpx.UnsupportedProtocol, Verdict(Grade.REJECTED, "request_not_sendable")),
    (httpx.LocalProtocolError, Verdict(Grade.REJECTED, "request_not_sendable")),
    (httpx.InvalidURL, Verdict(Grade.REJECTED, "request_not_sendable")),
)
_TRANSPORT_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)


def deliver(
    connector: Connector,
    notification: Notification,
    *,
    client: httpx.Client,
    now: Callable[[], datetime],
    sleep: Callable[[float], None],
    rng: random.Random,
    settings: DeliverySettings,
    monotonic: Callable[[], float] = time.monotonic,
) -> DeliveryOutcome:
    """Make one attempt: at most `settings.immediate_tries` requests, all with the notification's own id.

    A further try is made at once only after a transient answer, or after an ambiguous one where the API
    takes a repeated id once; and only if the provider did not ask for a longer wait than the back-off's cap.
    """
    started_at = now()
    ambiguous: _Try | None = None
    count = 0
    while True:
        count += 1
        latest = _try_once(connector, notification, client=client, now=now, settings=settings, monotonic=monotonic)
        if latest.verdict.grade is Grade.AMBIGUOUS:
            ambiguous = latest
        if count >= settings.immediate_tries or not _may_repeat_at_once(connector, latest):
            break
        wait = _wait_seconds(latest, count, now=now, rng=rng, settings=settings)
        if wait is None:
            break
        sleep(wait)
    if ambiguous is not None and latest.verdict.grade in (Grade.FAILED, Grade.THROTTLED):
        # a try of this attempt may have arrived: a later failure does not make that known
        latest = replace(latest, verdict=ambiguous.verdict, status_code=ambiguous.status_code)
    return DeliveryOutcome(
        provider=connector.provider,
        grade=latest.verdict.grade,
        status_code=latest.status_code,
        attempt_count=count,
        started_at=started_at,
        completed_at=now(),
        retry_not_before=latest.floor,
        reason=latest.verdict.reason,
    )


def _may_repeat_at_once(connector: Connector, latest: _Try) -> bool:
    if latest.verdict.grade is Grade.AMBIGUOUS:
        return PROVIDERS[connector.provider].deduplicates(connector)
    return latest.verdict.grade.transient


def _wait_seconds(
    latest: _Try, count: int, *, now: Callable[[], datetime], rng: random.Random, settings: DeliverySettings
) -> float | None:
    """Full jitter above the provider's floor; None if the floor is too far off to wait for."""
    floor_seconds = max((latest.floor - now()).total_seconds(), 0.0) if latest.floor else 0.0
    if floor_seconds > settings.backoff_cap_seconds:
        return None
    ceiling = min(settings.backoff_base_seconds * 2 ** (count - 1), settings.backoff_cap_seconds)
    return floor_seconds + rng.uniform(0.0, ceiling)


def _try_once(
    connector: Connector,
    notification: Notification,
    *,
    client: httpx.Client,
    now: Callable[[], datetime],
    settings: DeliverySettings,
    monotonic: Callable[[], float],
) -> _Try:
    prepared = prepare(connector, notification, now())
    with silent_transport():
        try:
            # no redirects (the new address would get the credential) and no credential of the client's own
            response = client.send(_wire(prepared, settings), stream=True, auth=None, follow_redirects=False)
        except _TRANSPORT_ERRORS as error:
            return _Try(_unanswered(error))
        try:
            body = _body(response, settings, monotonic)
        finally:
            _close(response)
    verdict = grade(connector.provider, response.status_code, body)
    floor = _floor(connector, response, now(), settings) if verdict.grade.transient else None
    return _Try(verdict, response.status_code, floor)


def _wire(prepared: PreparedRequest, settings: DeliverySettings) -> httpx.Request:
    # built here and not by the client, whose cookies and default headers would ride along
    headers = {
        **prepared.headers,
        **{name: value.reveal() for name, value in prepared.secret_headers.items()},
    }
    timeout = httpx.Timeout(
        connect=settings.connect_timeout_seconds,
        read=settings.read_timeout_seconds,
        write=settings.write_timeout_seconds,
        pool=settings.pool_timeout_seconds,
    )
    return httpx.Request(
        prepared.method,
        prepared.url.reveal(),
        headers=headers,
        content=prepared.body,
        extensions={"timeout": timeout.as_dict()},
    )


def _unanswered(error: Exception) -> Verdict:
    for kind, verdict in _NOT_SENT:
        if isinstance(error, kind):
            return verdict
    if isinstance(error, httpx.TimeoutException):
        return Verdict(Grade.AMBIGUOUS, "timeout_after_send")
    return Verdict(Grade.AMBIGUOUS, "connection_lost_after_send")


def _body(response: httpx.Response, settings: DeliverySettings, monotonic: Callable[[], float]) -> bytes | None:
    """The body; None if it did not come, not in time, or is over the limit."""
    deadline = monotonic() + settings.body_deadline_seconds
    body = b""
    try:
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > settings.body_limit_bytes:
                return None
            if monotonic() > deadline:
                return None
    except _TRANSPORT_ERRORS:
        return None
    return body


def _close(response: httpx.Response) -> None:
    try:
        response.close()
    except _TRANSPORT_ERRORS:
        return  # the answer is already known


def _floor(
    connector: Connector, response: httpx.Response, received_at: datetime, settings: DeliverySettings
) -> datetime | None:
    floors = (
        retry_floor(response.headers.get(name), received_at, settings.max_retry_after_seconds)
        for name in PROVIDERS[connector.provider].wait_headers
    )
    return max((floor for floor in floors if floor is not None), default=None)


_sending: ContextVar[bool] = ContextVar("cavra_connectors_sending", default=False)

# httpx writes the whole address at INFO, httpcore hosts and headers at DEBUG
_TRANSPORT_LOGGERS = (
    "httpx",
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
