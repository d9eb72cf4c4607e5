"""One message, one configuration and one set of planted secrets, for every test of the connectors."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cavra_pipeline.connectors import DeliverySettings, Notification

NOW = datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)

NOTIFICATION = Notification(
    idempotency_id="recovery_escalation-plan_7-slack-3",
    event_type="cavra.recovery_escalation.retry",
    title="Recovery escalation plan-7 is open",
    summary="2 of 3 providers could not be told.\nThe objective of 240 minutes is breached.",
    severity="critical",
    subject="plan-7",
    occurred_at=datetime(2026, 11, 23, 5, 30, 0, 250_000, tzinfo=UTC),
    facts={"failed_providers": 2, "owner": None, "link": "<&> *not markup*"},
)

SETTINGS = DeliverySettings(
    connect_timeout_seconds=2,
    read_timeout_seconds=5,
    write_timeout_seconds=2,
    immediate_tries=1,
)

SIGNING_SECRETS = [
    "whsec_" + base64.b64encode(b"CANARYsigning-newest-0001").decode(),
    "whsec_" + base64.b64encode(b"CANARYsigning-oldest-0002").decode(),
]
CANARIES = {
    "CANARY_TOKEN": "CANARYtoken-3f1c",
    "CANARY_KEY": "CANARYkey-9a7d",
    "CANARY_SIGNING": " ".join(SIGNING_SECRETS),
}

ENTRIES: Mapping[str, Mapping[str, Any]] = {
    "webhook": {
        "url_env": "CANARY_URL",
        "signing_secrets_env": "CANARY_SIGNING",
        "headers": {"X-Team": "ops"},
    },
    "slack": {"url_env": "CANARY_URL"},
    "teams": {"url_env": "CANARY_URL"},
    "jira": {
        "url_env": "CANARY_URL",
        "token_env": "CANARY_TOKEN",
        "username": "ops@example.org",
        "project_key": "OPS",
    },
    "servicenow": {"url_env": "CANARY_URL", "token_env": "CANARY_TOKEN", "username": "cavra"},
    "splunk": {"url_env": "CANARY_URL", "token_env": "CANARY_TOKEN", "index": "cavra"},
    "sentinel": {
        "url_env": "CANARY_URL",
        "token_env": "CANARY_TOKEN",
        "dcr": "dcr-0123456789abcdef",
        "stream": "Custom-Cavra_CL",
    },
    "datadog": {"url_env": "CANARY_URL", "api_key_env": "CANARY_KEY"},
}
ALL_PROVIDERS = tuple(ENTRIES)


def document_for(provider: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The connector file for one provider; a change to None takes the key away."""
    entry = {"enabled": True, **ENTRIES[provider], **(changes or {})}
    return {"connectors": {provider: {key: value for key, value in entry.items() if value is not None}}}


def environment_for(url: str) -> dict[str, str]:
    """The environment that the example configuration asks for."""
    return {**CANARIES, "CANARY_URL": url}
