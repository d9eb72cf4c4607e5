"""The body and headers of each API, as its documentation shows them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from cavra_pipeline.connectors import Connector, Notification, prepare
from cavra_pipeline.connectors.requests import PreparedRequest, jira_label
from tests.connectors.conftest import Configured
from tests.connectors.examples import ALL_PROVIDERS, NOTIFICATION, NOW

ID = NOTIFICATION.idempotency_id
LONG = replace(
    NOTIFICATION,
    title="T" * 9000,
    summary="S" * 90_000,
    subject="X" * 500,
    facts={f"fact_{number}": "v" * 9000 for number in range(40)},
)


def body_of(request: PreparedRequest) -> Any:
    return json.loads(request.body)


def built(configured: Configured, provider: str, notification: Notification = NOTIFICATION, **changes: Any) -> Any:
    return body_of(prepare(configured(provider, "https://example.org/", changes), notification, NOW))


def test_a_webhook_has_type_timestamp_and_data(configured: Configured) -> None:
    body = built(configured, "webhook")
    assert body["type"] == "cavra.recovery_escalation.retry"
    assert body["timestamp"] == "2026-11-23T05:30:00.250000Z"
    assert body["data"]["facts"] == {"failed_providers": 2, "owner": None, "link": "<&> *not markup*"}
    assert body["data"]["idempotency_id"] == ID


def test_slack_gets_blocks_and_a_text_that_mentions_nobody(configured: Configured) -> None:
    body = built(configured, "slack", replace(NOTIFICATION, title="<!channel> & more"))
    assert body["text"] == "[critical] &lt;!channel&gt; &amp; more"
    assert [block["type"] for block in body["blocks"]] == ["header", "section", "section", "context"]
    assert body["blocks"][-1]["block_id"] == ID
    assert "mrkdwn" not in json.dumps(body)


def test_teams_gets_a_message_with_one_adaptive_card(configured: Configured) -> None:
    body = built(configured, "teams")
    assert body["type"] == "message"
    (attachment,) = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"]["type"] == "AdaptiveCard"
    assert {"title": "Delivery", "value": ID} in attachment["content"]["body"][2]["facts"]


def test_jira_gets_an_adf_issue_that_can_be_found_again_by_label_and_property(configured: Configured) -> None:
    body = built(configured, "jira")
    assert body["fields"]["project"] == {"key": "OPS"}
    assert body["fields"]["issuetype"] == {"name": "Task"}
    assert body["fields"]["description"]["type"] == "doc"
    assert body["fields"]["description"]["version"] == 1
    assert all(one["content"][0]["text"].strip() for one in body["fields"]["description"]["content"])
    assert body["fields"]["labels"] == ["cavra-pipeline", jira_label(ID)]
    assert " " not in jira_label(ID)
    assert body["properties"][0]["value"]["idempotency_id"] == ID
    assert jira_label(ID) == jira_label(ID) != jira_label(ID + "1")


def test_servicenow_gets_an_event_with_the_id_as_message_key(configured: Configured) -> None:
    body = built(configured, "servicenow")
    assert body["message_key"] == ID
    assert (body["severity"], body["source"], body["resource"]) == ("1", "cavra-pipeline", "plan-7")
    assert body["time_of_event"] == "2026-11-23 05:30:00"
    assert json.loads(body["additional_info"])["failed_providers"] == "2"
    assert all(isinstance(value, str) for value in body.values())


def test_servicenow_gets_an_incident_with_the_id_as_correlation_id(configured: Configured) -> None:
    body = built(configured, "servicenow", table="incident")
    assert body["correlation_id"] == ID
    assert (body["urgency"], body["impact"]) == ("1", "1")
    assert "message_key" not in body


def test_splunk_gets_one_event_with_the_id_as_indexed_field(configured: Configured) -> None:
    body = built(configured, "splunk")
    assert body["time"] == 1795411800.25
    assert (body["index"], body["sourcetype"]) == ("cavra", "cavra:notification")
    assert body["fields"]["idempotency_id"] == body["event"]["idempotency_id"] == ID
    channel = "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba"
    request = prepare(configured("splunk", "https://example.org", {"channel": channel}), NOTIFICATION, NOW)
    assert request.headers["X-Splunk-Request-Channel"] == channel


def test_sentinel_gets_an_array_of_one_row(configured: Configured) -> None:
    (row,) = built(configured, "sentinel")
    assert row["TimeGenerated"] == "2026-11-23T05:30:00.250000Z"
    assert row["IdempotencyId"] == ID
    request = prepare(configured("sentinel", "https://example.org"), NOTIFICATION, NOW)
    again = prepare(configured("sentinel", "https://example.org"), NOTIFICATION, NOW + timedelta(hours=1))
    request_id = request.headers["x-ms-client-request-id"]
    assert UUID(request_id).version == 5
    assert again.headers["x-ms-client-request-id"] == request_id


def test_datadog_gets_an_event_with_the_id_as_aggregation_key(configured: Configured) -> None:
    body = built(configured, "datadog")
    assert body["aggregation_key"] == ID
    assert body["alert_type"] == "error"
    assert body["date_happened"] == 1795411800


@pytest.mark.parametrize(
    ("age", "dated"),
    [
        (timedelta(seconds=-1), False),
        (timedelta(0), True),
        (timedelta(hours=18, seconds=-1), True),
        (timedelta(hours=18), False),
    ],
)
def test_datadog_gets_no_date_that_it_would_refuse(configured: Configured, age: timedelta, dated: bool) -> None:
    body = built(configured, "datadog", replace(NOTIFICATION, occurred_at=NOW - age))
    assert ("date_happened" in body) is dated
    assert "occurred_at: " in body["text"]


def test_texts_are_cut_to_what_each_api_takes(configured: Configured) -> None:
    slack = built(configured, "slack", LONG)
    assert len(slack["blocks"][0]["text"]["text"]) == 150
    assert len(slack["blocks"][1]["text"]["text"]) == 3000
    assert len(slack["blocks"]) <= 50
    sections = [block["fields"] for block in slack["blocks"] if "fields" in block]
    assert all(len(fields) <= 10 and all(len(one["text"]) <= 2000 for one in fields) for fields in sections)
    assert sum(len(fields) for fields in sections) == 43
    assert len(built(configured, "jira", LONG)["fields"]["summary"]) == 255
    assert len(built(configured, "servicenow", LONG, table="incident")["short_description"]) == 160
    assert len(built(configured, "servicenow", LONG)["resource"]) == 100
    assert len(built(configured, "datadog", LONG)["text"]) == 4000
    assert len(built(configured, "datadog", LONG)["title"]) == 100


@pytest.mark.parametrize("provider", ALL_PROVIDERS)
def test_the_same_message_at_the_same_time_gives_the_same_bytes_and_the_id_rides_along(
    provider: str, configured: Configured
) -> None:
    connector = configured(provider, "https://example.org/")
    first, second = (prepare(connector, NOTIFICATION, NOW) for _ in range(2))
    assert (first.body, first.headers) == (second.body, second.headers)
    assert ID.encode() in first.body
    assert first.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("provider", ALL_PROVIDERS)
def test_a_message_with_nothing_but_what_is_required_can_be_told_to_everybody(
    provider: str, configured: Configured
) -> None:
    bare = replace(NOTIFICATION, summary="", facts={}, title="\udc80 lone surrogate")
    request = prepare(configured(provider, "https://example.org/"), bare, NOW)
    assert "" not in [one.get("text") for one in _dicts(body_of(request))]


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("webhook", "/"),
        ("jira", "/rest/api/3/issue"),
        ("servicenow", "/api/now/table/em_event"),
        ("splunk", "/services/collector/event"),
        ("sentinel", "/dataCollectionRules/dcr-0123456789abcdef/streams/Custom-Cavra_CL"),
        ("datadog", "/api/v1/events"),
    ],
)
def test_an_address_without_a_path_gets_the_apis_own_and_one_with_a_path_keeps_it(
    provider: str, path: str, configured: Configured
) -> None:
    assert urlsplit(configured(provider, "https://example.org/").url.reveal()).path == path
    assert urlsplit(configured(provider, "https://example.org/own").url.reveal()).path == "/own"


def test_credentials_go_where_each_api_wants_them(configured: Configured) -> None:
    def headers(provider: str, **changes: Any) -> dict[str, str]:
        connector: Connector = configured(provider, "https://example.org/", changes)
        return {name: value.reveal() for name, value in connector.secret_headers.items()}

    assert headers("splunk") == {"Authorization": "Splunk CANARYtoken-3f1c"}
    assert headers("sentinel") == {"Authorization": "Bearer CANARYtoken-3f1c"}
    assert headers("sentinel", authorization_scheme="Custom") == {"Authorization": "Custom CANARYtoken-3f1c"}
    assert headers("datadog") == {"DD-API-KEY": "CANARYkey-9a7d"}
    assert headers("datadog", api_key_header="X-Mine") == {"X-Mine": "CANARYkey-9a7d"}
    # base64 of ops@example.org:CANARYtoken-3f1c
    assert headers("jira") == {"Authorization": "Basic b3BzQGV4YW1wbGUub3JnOkNBTkFSWXRva2VuLTNmMWM="}
    assert headers("webhook", authorization_env="CANARY_TOKEN") == {"Authorization": "CANARYtoken-3f1c"}
    assert headers("webhook", authorization_env="CANARY_TOKEN", authorization_scheme="Bearer") == {
        "Authorization": "Bearer CANARYtoken-3f1c"
    }
    assert headers("slack") == {}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"idempotency_id": ""}, "idempotency_id"),
        ({"idempotency_id": "a.b"}, "idempotency_id"),
        ({"idempotency_id": "a" * 101}, "idempotency_id"),
        ({"event_type": "a b"}, "event_type"),
        ({"title": " "}, "title"),
        ({"subject": ""}, "subject"),
        ({"severity": "fatal"}, "severity"),
        ({"occurred_at": NOW.replace(tzinfo=None)}, "occurred_at"),
        ({"facts": {str(number): 1 for number in range(41)}}, "facts"),
    ],
)
def test_a_message_that_some_api_could_not_carry_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}:"):
        replace(NOTIFICATION, **change)


def test_an_id_of_100_characters_is_the_longest() -> None:
    assert replace(NOTIFICATION, idempotency_id="a" * 100).idempotency_id


def _dicts(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(found for one in value.values() for found in _dicts(one))]
    return [found for one in value for found in _dicts(one)] if isinstance(value, list) else []
