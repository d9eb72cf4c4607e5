"""Sentinel through Entra: a token is asked for, used and renewed in time; without one nothing is sent."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from urllib.parse import parse_qs

import pytest

from cavra_pipeline.connectors import Connector, Grade, Tokens
from tests.connectors.certificates import LOCAL, Authority
from tests.connectors.conftest import Configured, Deliver
from tests.connectors.examples import CANARIES, NOTIFICATION, NOW
from tests.connectors.proxy import Proxy
from tests.connectors.receiver import Answer, Receiver, answer, hang, reset, slow_body

TENANT = "contoso.onmicrosoft.com"
TOKEN_PATH = f"/{TENANT}/oauth2/v2.0/token"
ROWS_PATH = "/dataCollectionRules/dcr-0123456789abcdef/streams/Custom-Cavra_CL"
CLIENT = "00000000-0000-0000-0000-000000000001"

Entra = Callable[..., Connector]


@pytest.fixture
def receiver() -> Receiver:
    """One of its own for each test: the paths are the API's."""
    return Receiver()


@pytest.fixture
def sentinel(receiver: Receiver, configured: Configured) -> Entra:
    """A connector whose token service and API are both the receiver."""

    def make(environ: Mapping[str, str] | None = None, **changes: str) -> Connector:
        entra = {
            "token_env": None,
            "tenant_id": TENANT,
            "client_id": CLIENT,
            "client_secret_env": "CANARY_TOKEN",
            "authority": receiver.base_url,
            **changes,
        }
        return configured("sentinel", receiver.base_url, entra, environ)

    return make


def token(name: str = "token-1", **changes: object) -> Answer:
    """What Entra answers."""
    body = {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": name, **changes}
    return answer(200, json.dumps({key: value for key, value in body.items() if value is not None}))


def used(receiver: Receiver) -> list[str | None]:
    return [request.header("authorization") for request in receiver.requests(ROWS_PATH)]


def test_a_token_is_asked_for_as_entra_wants_it_and_sent_with_the_rows(
    receiver: Receiver, sentinel: Entra, attempt: Deliver
) -> None:
    with receiver:
        receiver.script(TOKEN_PATH, token())
        receiver.script(ROWS_PATH, answer(204))
        outcome = attempt(sentinel())
    assert (outcome.grade, outcome.status_code, outcome.attempt_count) == (Grade.DELIVERED, 204, 1)
    (asked,) = receiver.requests(TOKEN_PATH)
    assert asked.header("content-type") == "application/x-www-form-urlencoded"
    assert asked.header("authorization") is None
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": [CLIENT],
        "client_secret": [CANARIES["CANARY_TOKEN"]],
        "scope": ["https://monitor.azure.com/.default"],
    }
    assert used(receiver) == ["Bearer token-1"]
    assert json.loads(receiver.requests(ROWS_PATH)[0].body)[0]["IdempotencyId"] == NOTIFICATION.idempotency_id


@pytest.mark.parametrize(
    ("expires_in", "kept_for"), [(3599, 3299), (3600, 3300), ("3600", 3300), (600, 300), (100, 50), (None, 3300)]
)
def test_a_token_is_kept_and_renewed_shortly_before_it_expires(
    expires_in: object, kept_for: float, receiver: Receiver, sentinel: Entra, attempt: Deliver
) -> None:
    clock, tokens = [0.0], Tokens()
    with receiver:
        receiver.script(TOKEN_PATH, token("token-1", expires_in=expires_in), token("token-2"))
        receiver.script(ROWS_PATH, answer(204))
        connector = sentinel()
        for at in (0.0, kept_for - 0.5, kept_for):
            clock[0] = at
            assert attempt(connector, tokens=tokens, monotonic=lambda: clock[0]).success
    assert used(receiver) == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]
    assert len(receiver.requests(TOKEN_PATH)) == 2


def test_a_token_that_was_kept_and_is_not_taken_is_renewed_once(
    receiver: Receiver, sentinel: Entra, attempt: Deliver
) -> None:
    tokens = Tokens()
    with receiver:
        receiver.script(TOKEN_PATH, token("token-1"), token("token-2"))
        receiver.script(ROWS_PATH, answer(204), answer(401), answer(204), answer(401))
        connector = sentinel()
        outcomes = [attempt(connector, tokens=tokens) for _ in range(3)]
    assert [one.status_code for one in outcomes] == [204, 204, 401]
    assert outcomes[2].grade is Grade.REJECTED
    assert used(receiver) == ["Bearer token-1", "Bearer token-1", *["Bearer token-2"] * 3]
    assert len(receiver.requests(TOKEN_PATH)) == 3


def test_a_fresh_token_that_is_not_taken_is_not_asked_for_again(
    receiver: Receiver, sentinel: Entra, attempt: Deliver
) -> None:
    with receiver:
        receiver.script(TOKEN_PATH, token())
        receiver.script(ROWS_PATH, answer(401))
        outcome = attempt(sentinel(), immediate_tries=3)
    assert (outcome.grade, outcome.reason, outcome.attempt_count) == (Grade.REJECTED, "http_401", 1)
    assert (len(receiver.requests(TOKEN_PATH)), len(receiver.requests(ROWS_PATH))) == (1, 1)


@pytest.mark.parametrize(
    ("scripted", "grade", "reason", "floor"),
    [
        (answer(400, '{"error":"invalid_request"}'), Grade.REJECTED, "token_http_400", None),
        (answer(401, '{"error":"invalid_client"}'), Grade.REJECTED, "token_http_401", None),
        (answer(429, Retry_After="60"), Grade.THROTTLED, "token_http_429", 60),
        (answer(503, Retry_After="60"), Grade.FAILED, "token_http_503", 60),
        (answer(504), Grade.FAILED, "token_http_504", None),
        (answer(302, Location="/elsewhere"), Grade.REJECTED, "token_http_302", None),
        (answer(200, "<html>"), Grade.FAILED, "token_answer_unusable", None),
        (answer(200, "[]"), Grade.FAILED, "token_answer_unusable", None),
        (token(access_token=None), Grade.FAILED, "token_answer_unusable", None),
        (token("two words"), Grade.FAILED, "token_answer_unusable", None),
        (token("line\r\nend: 1"), Grade.FAILED, "token_answer_unusable", None),
        (token(token_type="pop"), Grade.FAILED, "token_answer_unusable", None),
        (slow_body(200), Grade.FAILED, "token_answer_unusable", None),
        (hang(), Grade.FAILED, "token_timeout_after_send", None),
        (reset(), Grade.FAILED, "token_connection_lost_after_send", None),
    ],
)
def test_without_a_token_nothing_is_sent_and_the_attempt_is_never_ambiguous(
    scripted: Answer,
    grade: Grade,
    reason: str,
    floor: int | None,
    receiver: Receiver,
    sentinel: Entra,
    attempt: Deliver,
) -> None:
    with receiver:
        receiver.script(TOKEN_PATH, scripted)
        receiver.script(ROWS_PATH, answer(204))
        outcome = attempt(sentinel(), read_timeout_seconds=1)
    assert (outcome.grade, outcome.reason) == (grade, reason)
    assert outcome.retry_not_before == (NOW + timedelta(seconds=floor) if floor else None)
    assert receiver.requests(ROWS_PATH) == []
    assert "CANARY" not in repr(outcome)


def test_a_token_service_is_reached_through_tls_and_its_faults_are_told_apart(
    receiver: Receiver, sentinel: Entra, attempt: Deliver, authority: Authority
) -> None:
    with receiver, Receiver(tls=authority.certificate(LOCAL)) as entra:
        entra.script(TOKEN_PATH, token())
        receiver.script(ROWS_PATH, answer(204))
        address = f"https://localhost:{entra.port}"
        assert attempt(sentinel(authority=address)).reason == "token_tls_unknown_authority"
        assert attempt(sentinel(authority=address, ca_file=str(authority.own.pem))).success
        assert attempt(sentinel(authority="https://login.invalid")).reason == "token_name_not_resolved"


def test_a_claim_that_ends_while_the_token_is_asked_for_is_not_outlived(
    receiver: Receiver, sentinel: Entra, attempt: Deliver
) -> None:
    with receiver:
        receiver.script(TOKEN_PATH, token())
        receiver.script(ROWS_PATH, answer(204))
        late = NOW + timedelta(seconds=9)
        assert attempt(sentinel(), claim_ends_at=late).success
        assert attempt(sentinel(), claim_ends_at=late - timedelta(seconds=0.1)).reason == "claim_ends_too_soon"
    assert (len(receiver.requests(TOKEN_PATH)), len(receiver.requests(ROWS_PATH))) == (1, 1)


def test_no_token_secret_or_password_of_a_proxy_is_in_an_outcome_or_a_log(
    receiver: Receiver,
    sentinel: Entra,
    attempt: Deliver,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "httpcore")
    seen: list[object] = []
    with receiver, Proxy(to=receiver.port, refuses_with="407 CANARYreason") as proxy:
        for scripted in (token("CANARYtoken"), answer(401, "CANARYbody"), answer(200, "CANARYbody"), reset()):
            receiver.script(TOKEN_PATH, scripted)
            receiver.script(ROWS_PATH, answer(401, "CANARYbody"))
            connector = sentinel()
            seen += [connector, attempt(connector), repr(connector.client_credentials)]
        environ = {"CANARY_PROXY": proxy.url.replace("://", "://CANARYuser:CANARYpassword@")}
        proxied = sentinel(authority="https://login.invalid", proxy_env="CANARY_PROXY", environ=environ)
        seen += [proxied, attempt(proxied)]
    printed = capfd.readouterr()
    assert "proxy_authentication_required" in f"{seen}"
    assert "CANARY" not in f"{seen} {caplog.text} {printed.out} {printed.err}"
