"""Our signatures against the reference library of Standard Webhooks."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from cavra_pipeline.connectors import Secret
from cavra_pipeline.connectors.signing import is_signing_secret, signature_headers
from tests.connectors.conftest import Configured, Deliver
from tests.connectors.examples import NOTIFICATION, SIGNING_SECRETS
from tests.connectors.receiver import Receiver, answer

KEYS = st.binary(min_size=24, max_size=64)


def secret_of(key: bytes) -> Secret:
    return Secret("whsec_" + base64.b64encode(key).decode())


@given(
    st.lists(KEYS, min_size=1, max_size=4),
    st.text(alphabet="abcXYZ019_:-", min_size=1),
    st.dictionaries(st.text(), st.text()),
)
def test_the_reference_library_accepts_every_signature_with_each_of_its_secrets(
    keys: list[bytes], message_id: str, payload: dict[str, str]
) -> None:
    body = json.dumps(payload).encode()
    secrets = [secret_of(key) for key in keys]
    headers = signature_headers(secrets, message_id, datetime.now(UTC), body)
    for secret in secrets:
        assert Webhook(secret.reveal()).verify(body, headers) == payload


def test_another_secret_body_id_or_time_is_refused() -> None:
    mine, other = secret_of(b"m" * 24), secret_of(b"o" * 24)
    now = datetime.now(UTC)
    headers = signature_headers([mine], "d-1", now, b"{}")
    Webhook(mine.reveal()).verify(b"{}", headers)
    later = str(int((now + timedelta(seconds=1)).timestamp()))
    for secret, body, changed in [
        (other, b"{}", {}),
        (mine, b"{ }", {}),
        (mine, b"{}", {"webhook-id": "d-2"}),
        (mine, b"{}", {"webhook-timestamp": later}),
    ]:
        with pytest.raises(WebhookVerificationError):
            Webhook(secret.reveal()).verify(body, {**headers, **changed})


def test_the_example_of_the_specification_has_the_form_that_it_shows() -> None:
    instant = datetime.fromtimestamp(1674087231, UTC)
    headers = signature_headers([secret_of(b"k" * 24), secret_of(b"l" * 24)], "msg_2KWP", instant, b"{}")
    assert headers["webhook-id"] == "msg_2KWP"
    assert headers["webhook-timestamp"] == "1674087231"
    signatures = headers["webhook-signature"].split(" ")
    assert len(set(signatures)) == 2
    assert all(one.startswith("v1,") and len(base64.b64decode(one[3:])) == 32 for one in signatures)


@pytest.mark.parametrize(("length", "accepted"), [(0, False), (23, False), (24, True), (64, True), (65, False)])
def test_a_signing_secret_has_24_to_64_bytes(length: int, accepted: bool) -> None:
    assert is_signing_secret(secret_of(b"k" * length)) is accepted


@pytest.mark.parametrize("text", ["", "whsec_", "a" * 32, "whsec_%%%%", "whsk_" + "a" * 44, "WHSEC_" + "a" * 32])
def test_what_is_not_a_signing_secret_is_told_apart(text: str) -> None:
    assert not is_signing_secret(Secret(text))


def test_a_delivered_webhook_verifies_with_the_new_and_with_the_old_secret(
    receiver: Receiver, configured: Configured, attempt: Deliver
) -> None:
    url = receiver.script("/signed", answer(503), answer(200))
    outcome = attempt(configured("webhook", url), now=datetime.now(UTC), immediate_tries=2)
    assert outcome.success
    first, second = receiver.requests("/signed")
    for request in (first, second):
        for secret in SIGNING_SECRETS:
            payload = Webhook(secret).verify(request.body, dict(request.headers))
            assert payload["data"]["idempotency_id"] == NOTIFICATION.idempotency_id
    assert first.header("webhook-id") == second.header("webhook-id") == NOTIFICATION.idempotency_id
