"""One attempt at one delivery, on the wire.

What belongs here: sending a prepared request, the few tries inside one attempt, and what became of it.
What does not: deciding that there is an attempt at all, remembering it, or planning the next (the worker).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from cavra_pipeline.connectors.connector import ClientCredentials, Connector
from cavra_pipeline.connectors.grading import Grade, GradedResponse
from cavra_pipeline.connectors.notification import Notification
from cavra_pipeline.connectors.providers import PROVIDERS, grade, prepare
from cavra_pipeline.connectors.requests import PreparedRequest
from cavra_pipeline.connectors.retry_after import retry_floor
from cavra_pipeline.connectors.tokens import NoToken, Tokens
from cavra_pipeline.connectors.transport import Limits, ProviderResponse, Unanswered, exchange

MAX_IMMEDIATE_TRIES = 5
#: Reason of an attempt for which the caller's claim leaves no time: nothing was sent.
CLAIM_ENDS = "claim_ends_too_soon"

_UNAUTHORIZED = 401
# where the window of a rate limit ends, as seconds, a Unix time or an ISO 8601 instant
_RESET_HEADERS = ("ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset")


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """How long to wait, how much to read, how often to try inside one attempt.

    Attributes:
        connect_timeout_seconds: Name resolution, connection, proxy and TLS together.
        write_timeout_seconds: The whole request.
        read_timeout_seconds: The whole answer, head and body; Standard Webhooks recommends 15 to 30.
        body_limit_bytes: A longer body counts as not read.
        immediate_tries: Requests of one attempt.
        backoff_base_seconds: Longest wait before the second request, if the provider asks for none.
        backoff_cap_seconds: Longest wait before any.
        max_retry_after_seconds: A provider's floor reaches no further.
    """

    connect_timeout_seconds: float = 5.0
    write_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 20.0
    body_limit_bytes: int = 64 * 1024
    immediate_tries: int = 2
    backoff_base_seconds: float = 0.5
    backoff_cap_seconds: float = 5.0
    max_retry_after_seconds: int = 24 * 60 * 60

    def __post_init__(self) -> None:
        """Refuse a setting that would wait for ever, read without end or hammer."""
        for name in ("connect_timeout_seconds", "read_timeout_seconds", "write_timeout_seconds"):
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

    @property
    def try_seconds(self) -> float:
        """Longest duration of one request, from the first byte out to the last one in."""
        return self.connect_timeout_seconds + self.write_timeout_seconds + self.read_timeout_seconds


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """Outcome of one attempt; nothing in it comes from the text of an answer."""

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

    verdict: GradedResponse
    status_code: int | None = None
    floor: datetime | None = None


def deliver(
    connector: Connector,
    notification: Notification,
    *,
    now: Callable[[], datetime],
    sleep: Callable[[float], None],
    rng: random.Random,
    settings: DeliverySettings,
    tokens: Tokens | None = None,
    claim_ends_at: datetime | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> DeliveryOutcome:
    """Make one attempt: at most `settings.immediate_tries` requests, all with the notification's own id.

    A further try is made at once only after a transient answer, or after an ambiguous one where the API
    takes a repeated id once; and only if the provider did not ask for a longer wait than the back-off's cap.

    Args:
        connector: Where to.
        notification: What.
        now: Returns the current time.
        sleep: Waits between tries.
        rng: Jitter.
        settings: Limits.
        tokens: Access tokens that outlive this attempt.
        claim_ends_at: When the caller's claim ends. No request is begun that could still run then: checked right
            before each one.
        monotonic: Measures the limits.
    """
    attempt = _Attempt(connector, notification, now, settings, tokens or Tokens(), claim_ends_at, monotonic)
    started_at = now()
    ambiguous: _Try | None = None
    count, latest = 0, _Try(GradedResponse(Grade.FAILED, CLAIM_ENDS))
    while attempt.fits(0.0):
        count += 1
        latest = attempt.try_once()
        if latest.verdict.grade is Grade.AMBIGUOUS:
            ambiguous = latest
        if count >= settings.immediate_tries or not _may_repeat_at_once(connector, latest):
            break
        wait = _wait_seconds(latest, count, now=now, rng=rng, settings=settings)
        if wait is None or not attempt.fits(wait):
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


@dataclass(frozen=True, slots=True)
class _Attempt:
    """State that the tries of one attempt share."""

    connector: Connector
    notification: Notification
    now: Callable[[], datetime]
    settings: DeliverySettings
    tokens: Tokens
    claim_ends_at: datetime | None
    monotonic: Callable[[], float]

    def fits(self, wait_seconds: float) -> bool:
        """Returns whether a request that is begun after a wait ends within the claim."""
        if self.claim_ends_at is None:
            return True
        left = (self.claim_ends_at - self.now()).total_seconds()
        return wait_seconds + self.settings.try_seconds <= left

    def try_once(self) -> _Try:
        """Makes one request; where the API does not take a cached token, once more with a fresh one."""
        credentials = self.connector.client_credentials
        if credentials is None:
            return self._send({})
        latest, was_cached = self._send_with_token(credentials)
        if latest.status_code == _UNAUTHORIZED and was_cached and self.fits(0.0):
            latest, _ = self._send_with_token(credentials)
        return latest

    def _send_with_token(self, credentials: ClientCredentials) -> tuple[_Try, bool]:
        token_result = self.tokens.token(credentials, limits=self._limits, monotonic=self.monotonic)
        if isinstance(token_result, NoToken):
            status = token_result.answer.status if token_result.answer else None
            return _Try(token_result.verdict, status, self._floor(token_result.answer, token_result.verdict)), False
        token, was_cached = token_result
        if not self.fits(0.0):
            return _Try(GradedResponse(Grade.FAILED, CLAIM_ENDS)), False
        latest = self._send({"Authorization": f"Bearer {token.reveal()}"})
        if latest.status_code == _UNAUTHORIZED:
            self.tokens.forget(credentials)
        return latest, was_cached

    def _send(self, headers: dict[str, str]) -> _Try:
        prepared = prepare(self.connector, self.notification, self.now())
        try:
            answer = exchange(
                self.connector.route,
                prepared.method,
                prepared.url,
                {**_headers(prepared), **headers},
                prepared.body,
                limits=self._limits,
                monotonic=self.monotonic,
            )
        except Unanswered as error:
            return _Try(_unanswered(error))
        verdict = grade(self.connector.provider, answer.status, answer.body)
        return _Try(verdict, answer.status, self._floor(answer, verdict))

    @property
    def _limits(self) -> Limits:
        settings = self.settings
        return Limits(
            settings.connect_timeout_seconds,
            settings.write_timeout_seconds,
            settings.read_timeout_seconds,
            settings.body_limit_bytes,
        )

    def _floor(self, answer: ProviderResponse | None, verdict: GradedResponse) -> datetime | None:
        """The instant that the other side asks to wait for; the end of a limit's window counts if it names no wait."""
        if answer is None or not verdict.grade.transient:
            return None
        most, now = self.settings.max_retry_after_seconds, self.now()
        floor = retry_floor(answer.values("retry-after"), now, most)
        if floor is None and verdict.grade is Grade.THROTTLED:
            resets = [value for name in _RESET_HEADERS for value in answer.values(name)]
            floor = retry_floor(resets, now, most)
        return floor


def _headers(prepared: PreparedRequest) -> dict[str, str]:
    secrets = {name: value.reveal() for name, value in prepared.secret_headers.items()}
    return {**prepared.headers, **secrets}


def _unanswered(error: Unanswered) -> GradedResponse:
    if error.was_sent:
        return GradedResponse(Grade.AMBIGUOUS, error.reason)
    # nothing can have happened on the other side
    is_ours = error.reason == "request_not_sendable"
    return GradedResponse(Grade.REJECTED if is_ours else Grade.FAILED, error.reason)
