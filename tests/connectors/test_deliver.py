"""One attempt on the wire: how often, how long, with which id, and what is never seen or sent."""

from __future__ import annotations

import logging
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from cavra_pipeline.connectors import DeliverySettings, Grade, deliver
from tests.connectors.conftest import Configured, Deliver
from tests.connectors.examples import ALL_PROVIDERS, NOTIFICATION, NOW, SETTINGS
from tests.connectors.receiver import (
    Answer,
    Receiver,
    answer,
    hang,
    reset,
    slow_body,
    slow_head,
    throttled,
    throttled_until,
)

ID = NOTIFICATION.idempotency_id


def test_a_transient_answer_is_tried_again_at_once_with_the_same_id(
    receiver: Receiver, configured: Configured, attempt: Deliver
) -> None:
    url = receiver.script("/again", answer(503), answer(408), answer(200))
    slept: list[float] = []
    outcome = attempt(configured("webhook", url), immediate_tries=3, slept=slept)
    assert (outcome.grade, outcome.attempt_count, outcome.status_code) == (Grade.DELIVERED, 3, 200)
    assert [request.header("webhook-id") for request in receiver.requests("/again")] == [ID] * 3
    assert len({request.body for request in receiver.requests("/again")}) == 1
    assert 0 <= slept[0] <= 0.5
    assert 0 <= slept[1] <= 1.0


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_there_are_never_more_tries_than_the_settings_allow(
    tries: int, receiver: Receiver, configured: Configured, attempt: Deliver
) -> None:
    url = receiver.script(f"/tries/{tries}", answer(503))
    slept: list[float] = []
    outcome = attempt(configured("slack", url), immediate_tries=tries, slept=slept)
    assert (outcome.grade, outcome.attempt_count) == (Grade.FAILED, tries)
    assert len(receiver.requests(f"/tries/{tries}")) == tries
    assert len(slept) == tries - 1


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 410, 413, 422, 451])
def test_a_permanent_answer_is_not_tried_again(
    status: int, receiver: Receiver, configured: Configured, attempt: Deliver
) -> None:
    url = receiver.script(f"/permanent/{status}", answer(status, Retry_After="1"), answer(200))
    slept: list[float] = []
    outcome = attempt(configured("webhook", url), immediate_tries=5, slept=slept)
    assert (outcome.grade, outcome.transient, outcome.retry_not_before) == (Grade.REJECTED, False, None)
    assert len(receiver.requests(f"/permanent/{status}")) == 1
    assert slept == []


@pytest.mark.parametrize(
    ("provider", "table", "repeated"),
    [
        ("webhook", None, True),
        ("servicenow", "em_event", True),
        ("servicenow", "incident", False),
        ("slack", None, False),
        ("teams", None, False),
        ("jira", None, False),
        ("splunk", None, False),
        ("sentinel", None, False),
        ("datadog", None, False),
    ],
)
def test_an_ambiguous_try_is_repeated_at_once_only_where_the_api_takes_an_id_once(
    provider: str,
    table: str | None,
    repeated: bool,
    receiver: Receiver,
    configured: Configured,
    attempt: Deliver,
) -> None:
    path = f"/ambiguous/{provider}/{table}"
    url = receiver.script(path, reset(), answer(201, b'{"result":{"sys_id":"1"}}'))
    outcome = attempt(configured(provider, url, {"table": table} if table else {}), immediate_tries=2)
    assert len(receiver.requests(path)) == (2 if repeated else 1)
    assert outcome.grade is (Grade.DELIVERED if repeated else Grade.AMBIGUOUS)


def test_an_attempt_that_may_have_arrived_stays_ambiguous_when_a_later_try_fails(
    receiver: Receiver, configured: Configured, attempt: Deliver
) -> None:
    url = receiver.script("/stays", reset(), throttled(9))
    outcome = attempt(configured("webhook", url), immediate_tries=2)
    assert (outcome.grade, outcome.reason) == (Grade.AMBIGUOUS, "connection_lost_after_send")
    assert outcome.attempt_count == 2
    assert outcome.retry_not_before == NOW + timedelta(seconds=9)


def test_a_request_that_was_never_answered_was_stored_once(
    receiver: Receiver, configured: Configured, attempt: Deliver
) -> None:
    url = receiver.script("/hangs", hang())
    outcome = attempt(configured("slack", url), read_timeout_seconds=0.1, immediate_tries=5)
    assert (outcome.grade, outcome.status_code, outcome.attempt_count) == (Grade.AMBIGUOUS, None, 1)
    assert len(receiver.wait_for("/hangs", 1)) == 1


@pytest.mark.parametrize("provider", ALL_PROVIDERS)
def test_retry_after_in_seconds_and_as_a_date_becomes_the_floor(
    provider: str, receiver: Receiver, configured: Configured, attempt: Deliver
) -> None:
    in_an_hour = NOW + timedelta(hours=1)
    for path, scripted in [("/seconds", throttled(3600)), ("/date", throttled_until(in_an_hour))]:
        slept: list[float] = []
        url = receiver.script(f"/floor/{provider}{path}", scripted)
        outcome = attempt(configured(provider, url), immediate_tries=3, slept=slept)
        assert (outcome.grade, outcome.retry_not_before) == (Grade.THROTTLED, in_an_hour)
        assert (outcome.attempt_count, slept) == (1, [])


def test_retry_after_counts_on_a_503_too_and_is_capped(
    receiver: Receiver, configured: Configured, attempt: Deliver
) -> None:
    url = receiver.script("/capped", answer(503, Retry_After="86400"))
    outcome = attempt(configured("jira", url), max_retry_after_seconds=600)
    assert (outcome.grade, outcome.retry_not_before) == (Grade.FAILED, NOW + timedelta(seconds=600))


@pytest.mark.parametrize(("seconds", "waits"), [(5, True), (6, False)])
def test_a_floor_within_the_cap_is_waited_for_and_one_beyond_it_ends_the_attempt(
    seconds: int, waits: bool, receiver: Receiver, configured: Configured, attempt: Deliver
) -> None:
    url = receiver.script(f"/within/{seconds}", throttled(seconds), answer(200, "ok"))
    slept: list[float] = []
    outcome = attempt(configured("slack", url), immediate_tries=2, slept=slept)
    assert outcome.success is waits
    assert len(receiver.requests(f"/within/{seconds}")) == (2 if waits else 1)
    assert [seconds <= one <= seconds + 0.5 for one in slept] == ([True] if waits else [])


def test_success_carries_no_floor(receiver: Receiver, configured: Configured, attempt: Deliver) -> None:
    url = receiver.script("/floorless", answer(200, "ok", Retry_After="60"))
    assert attempt(configured("slack", url)).retry_not_before is None


def test_a_redirect_is_not_followed(receiver: Receiver, configured: Configured, attempt: Deliver) -> None:
    target = receiver.script("/target", answer(200))
    url = receiver.script("/redirect", answer(307, Location=target))
    assert attempt(configured("webhook", url)).grade is Grade.REJECTED
    assert receiver.requests("/target") == []


def test_no_cookie_comes_back_and_nothing_is_sent_that_was_not_asked_for(
    receiver: Receiver, configured: Configured, attempt: Deliver
) -> None:
    url = receiver.script("/cookies", answer(200, "ok", Set_Cookie="session=abc"))
    assert all(attempt(configured("slack", url)).success for _ in range(2))
    for request in receiver.requests("/cookies"):
        assert sorted(name.lower() for name, _ in request.headers) == [
            "accept",
            "accept-encoding",
            "content-length",
            "content-type",
            "host",
            "user-agent",
        ]


@pytest.mark.parametrize(("size", "read"), [(1023, True), (1024, True), (1025, False), (3_000_000, False)])
def test_a_body_over_the_limit_is_a_body_that_could_not_be_read(
    size: int, read: bool, receiver: Receiver, configured: Configured, attempt: Deliver
) -> None:
    url = receiver.script(f"/large/{size}", answer(200, b"ok".ljust(size)))
    outcome = attempt(configured("slack", url), body_limit_bytes=1024)
    assert (outcome.grade, outcome.reason) == (
        (Grade.DELIVERED, "http_200") if read else (Grade.AMBIGUOUS, "body_unread")
    )
    assert receiver.requests(f"/large/{size}")[0].header("accept-encoding") == "identity"


@pytest.mark.parametrize(
    ("scripted", "status", "reason"),
    [(slow_head(201), None, "timeout_after_send"), (slow_body(201), 201, "http_201")],
    ids=["head", "body"],
)
def test_an_answer_that_drips_ends_at_one_deadline_and_a_status_that_came_counts(
    scripted: Answer, status: int | None, reason: str, receiver: Receiver, configured: Configured, attempt: Deliver
) -> None:
    """Each byte comes long before the deadline; all of them would take minutes."""
    url = receiver.script(f"/drip/{status}", replace(scripted, seconds_between_bytes=0.2))
    outcome = attempt(configured("jira", url), read_timeout_seconds=1)
    assert (outcome.status_code, outcome.reason, outcome.attempt_count) == (status, reason, 1)


def test_head_and_body_share_the_deadline(receiver: Receiver, configured: Configured, attempt: Deliver) -> None:
    """On this clock every operation takes half a second."""
    clock = 0.0

    def monotonic() -> float:
        nonlocal clock
        clock += 0.5
        return clock

    url = receiver.script("/shared", slow_body(200, b"ok"))
    for seconds, reason in ((0.4, "timeout_after_send"), (0.6, "body_unread"), (60, "http_200")):
        assert attempt(configured("slack", url), read_timeout_seconds=seconds, monotonic=monotonic).reason == reason


@pytest.mark.parametrize("provider", ALL_PROVIDERS)
def test_no_secret_is_in_an_outcome_a_log_line_or_an_exception_whatever_happens(
    provider: str,
    receiver: Receiver,
    configured: Configured,
    attempt: Deliver,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "httpcore")
    seen: list[Any] = []
    for number, scripted in enumerate([answer(200, "CANARYbody"), answer(503, "CANARYbody"), reset(), hang()]):
        url = receiver.script(f"/CANARYpath/{provider}/{number}", scripted)
        seen.append(attempt(configured(provider, url), read_timeout_seconds=0.1))
    seen.append(attempt(configured(provider, "http://127.0.0.1:9/CANARYpath"), read_timeout_seconds=0.1))
    printed = capfd.readouterr()
    assert "CANARY" not in f"{seen} {caplog.text} {printed.out} {printed.err}"
    assert len(seen) == 5


def test_the_transport_of_others_may_still_log(
    receiver: Receiver, configured: Configured, attempt: Deliver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "httpcore")
    attempt(configured("slack", receiver.script("/quiet", answer(200, "ok"))))
    assert caplog.records == []
    httpx.get(receiver.script("/loud", answer(200)), trust_env=False)
    assert "receive_response_headers" in caplog.text


def test_the_times_of_an_outcome_come_from_the_clock_that_was_given(receiver: Receiver, configured: Configured) -> None:
    ticks = iter(NOW + timedelta(seconds=number) for number in range(9))
    url = receiver.script("/clock", answer(200, "ok"))
    outcome = deliver(
        configured("slack", url),
        NOTIFICATION,
        now=lambda: next(ticks),
        sleep=no_sleep,
        rng=random.Random(1),
        settings=SETTINGS,
    )
    assert outcome.started_at == NOW
    assert outcome.completed_at > NOW
    assert (outcome.provider, outcome.reason) == ("slack", "http_200")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("immediate_tries", [1, 5], [0, 6]),
        ("read_timeout_seconds", [0.01, 300], [0, 301]),
        ("body_limit_bytes", [1, 1048576], [0, 1048577]),
        ("backoff_cap_seconds", [0.5, 60], [0.4, 61]),
        ("max_retry_after_seconds", [0, 2592000], [-1, 2592001]),
    ],
)
def test_settings_are_refused_outside_their_bounds(name: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert getattr(DeliverySettings(**{name: value}), name) == value
    for value in bad:
        with pytest.raises(ValueError, match=name):
            DeliverySettings(**{name: value})


def no_sleep(seconds: float) -> None:
    pytest.fail(f"slept for {seconds} seconds")


@pytest.mark.parametrize(("seconds", "sent"), [(0, 0), (8.99, 0), (9, 1), (17.9, 1), (18.5, 2), (100, 3)])
def test_no_request_is_begun_that_could_outlive_the_claim(
    seconds: float, sent: int, receiver: Receiver, configured: Configured
) -> None:
    """One request can take 9 seconds here; on this clock each takes all of them."""
    url = receiver.script(f"/claim/{seconds}", answer(503))
    connector = configured("webhook", url)
    outcome = deliver(
        connector,
        NOTIFICATION,
        now=lambda: NOW + timedelta(seconds=9 * len(receiver.requests(f"/claim/{seconds}"))),
        sleep=lambda _: None,
        rng=random.Random(1),
        settings=replace(SETTINGS, immediate_tries=3, backoff_base_seconds=0.01),
        claim_ends_at=NOW + timedelta(seconds=seconds),
    )
    assert SETTINGS.try_seconds == 9
    assert (outcome.attempt_count, len(receiver.requests(f"/claim/{seconds}"))) == (sent, sent)
    assert (outcome.grade, outcome.transient) == (Grade.FAILED, True)
    assert outcome.reason == ("http_503" if sent else "claim_ends_too_soon")
