"""One message in the words of each API.

What belongs here: pure functions from connector, notification and clock to the request of one attempt.
What does not: sending it (deliver) and understanding the answer (grading).

Texts are escaped for their medium here (escaping); a Notification holds nothing that steers or cannot be seen already.
The documentation of each body is linked from `docs/connectors-apis.md`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cavra_pipeline.connectors.connector import Connector
from cavra_pipeline.connectors.notification import FactValue, Notification
from cavra_pipeline.connectors.secret import Secret
from cavra_pipeline.connectors.signing import signature_headers
from cavra_pipeline.escaping import datadog, markdown, servicenow, slack

SOURCE = "cavra-pipeline"
USER_AGENT = SOURCE

_SLACK_FIELDS_A_SECTION = 10
_DATADOG_OLDEST = timedelta(hours=18)


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """One HTTP request, ready to send; its repr shows neither address, credential nor content."""

    method: str
    url: Secret
    headers: Mapping[str, str] = field(repr=False)
    secret_headers: Mapping[str, Secret]
    body: bytes = field(repr=False)


def build_webhook(connector: Connector, notification: Notification, now: datetime) -> PreparedRequest:
    """Return a Standard Webhooks message, signed with every configured secret."""
    body = _encode(
        {
            "type": notification.event_type,
            "timestamp": _iso(notification.occurred_at),
            "data": {
                "idempotency_id": notification.idempotency_id,
                "title": notification.title,
                "summary": notification.summary,
                "severity": notification.severity,
                "subject": notification.subject,
                "facts": dict(notification.facts),
            },
        }
    )
    signed = signature_headers(connector.signing_secrets, notification.idempotency_id, now, body)
    return _request(connector, body, signed)


def build_slack(connector: Connector, notification: Notification, _now: datetime) -> PreparedRequest:
    """Return blocks for people and the plain `text` that Slack shows in notifications."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _slack(notification.title, 150)},
        {"type": "section", "text": _slack(notification.summary or notification.title, 3000)},
    ]
    facts = [_slack(f"{name}: {_shown(value)}", 2000) for name, value in _facts(notification).items()]
    blocks.extend(
        {"type": "section", "fields": facts[start : start + _SLACK_FIELDS_A_SECTION]}
        for start in range(0, len(facts), _SLACK_FIELDS_A_SECTION)
    )
    blocks.append(
        {
            "type": "context",
            "block_id": notification.idempotency_id,
            "elements": [_slack(f"{notification.event_type} {notification.idempotency_id}", 3000)],
        }
    )
    text = _cut(slack(f"[{notification.severity}] {notification.title}"), 3000)
    return _request(connector, _encode({"text": text, "blocks": blocks}))


def build_teams(connector: Connector, notification: Notification, _now: datetime) -> PreparedRequest:
    """Return a message with one Adaptive Card, the form that Teams workflows take."""
    colour = {"info": "Default", "warning": "Warning", "critical": "Attention"}[notification.severity]
    facts = [
        {"title": _cut(markdown(name), 200), "value": _cut(markdown(_shown(value)), 2000)}
        for name, value in _facts(notification).items()
    ]
    facts.append({"title": "Delivery", "value": notification.idempotency_id})
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": _cut(notification.title, 500),
        "body": [
            {
                "type": "TextBlock",
                "text": _cut(markdown(notification.title), 500),
                "weight": "Bolder",
                "size": "Medium",
                "color": colour,
                "wrap": True,
            },
            {
                "type": "TextBlock",
                "text": _cut(_lines(markdown, notification.summary or notification.title), 5000),
                "wrap": True,
            },
            {"type": "FactSet", "facts": facts},
        ],
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return _request(connector, _encode({"type": "message", "attachments": [attachment]}))


def build_jira(connector: Connector, notification: Notification, _now: datetime) -> PreparedRequest:
    """Return a new issue; its label and its property let a person or a rule find a second one."""
    lines = [line for line in notification.summary.splitlines() if line.strip()]
    lines += [f"{name}: {_shown(value)}" for name, value in _facts(notification).items()]
    payload = {
        "fields": {
            "project": {"key": connector.options["project_key"]},
            "issuetype": {"name": connector.options["issue_type"]},
            "summary": _cut(notification.title, 255),
            "description": {
                "type": "doc",
                "version": 1,
                "content": [
                    {"type": "paragraph", "content": [{"type": "text", "text": _cut(line, 5000)}]} for line in lines
                ],
            },
            "labels": [SOURCE, jira_label(notification.idempotency_id)],
        },
        "properties": [
            {
                "key": "cavra-pipeline.delivery",
                "value": {
                    "idempotency_id": notification.idempotency_id,
                    "event_type": notification.event_type,
                    "subject": notification.subject,
                },
            }
        ],
    }
    return _request(connector, _encode(payload))


def jira_label(idempotency_id: str) -> str:
    """Return the label that every issue for this delivery carries; labels take no spaces."""
    return "cavra-" + hashlib.sha256(idempotency_id.encode()).hexdigest()[:32]


def build_servicenow(connector: Connector, notification: Notification, _now: datetime) -> PreparedRequest:
    """Return a row for `em_event` (its `message_key` de-duplicates) or for `incident`."""
    if connector.options["table"] == "incident":
        return _request(connector, _encode(_servicenow_incident(notification)))
    return _request(connector, _encode(_servicenow_event(connector, notification)))


def _servicenow_event(connector: Connector, notification: Notification) -> dict[str, str]:
    # the column is JSON in a string, and its values are strings too
    information = {servicenow(name): servicenow(_shown(value)) for name, value in notification.facts.items()}
    information["idempotency_id"] = notification.idempotency_id
    return {
        "source": SOURCE,
        "event_class": SOURCE,
        "node": _cut(connector.options.get("node", SOURCE), 100),
        "resource": _cut(servicenow(notification.subject), 100),
        "type": notification.event_type,
        "severity": {"critical": "1", "warning": "4", "info": "5"}[notification.severity],
        "message_key": notification.idempotency_id,
        "description": _cut(_lines(servicenow, f"{notification.title}\n\n{notification.summary}"), 4000),
        "time_of_event": notification.occurred_at.strftime("%Y-%m-%d %H:%M:%S"),
        "additional_info": _encode(information).decode(),
    }


def _servicenow_incident(notification: Notification) -> dict[str, str]:
    weight = {"critical": "1", "warning": "2", "info": "3"}[notification.severity]
    lines = [notification.summary] + [f"{name}: {_shown(value)}" for name, value in _facts(notification).items()]
    return {
        "short_description": _cut(servicenow(notification.title), 160),
        "description": _cut(_lines(servicenow, "\n".join(lines)), 4000),
        "urgency": weight,
        "impact": weight,
        "correlation_id": notification.idempotency_id,
        "correlation_display": SOURCE,
    }


def build_splunk(connector: Connector, notification: Notification, _now: datetime) -> PreparedRequest:
    """Return one HTTP Event Collector event, the id also as an indexed field."""
    envelope: dict[str, Any] = {
        "time": round(notification.occurred_at.timestamp(), 3),
        "source": SOURCE,
        "sourcetype": connector.options["sourcetype"],
        "event": {
            "idempotency_id": notification.idempotency_id,
            "event_type": notification.event_type,
            "title": notification.title,
            "summary": notification.summary,
            "severity": notification.severity,
            "subject": notification.subject,
            "occurred_at": _iso(notification.occurred_at),
            "facts": dict(notification.facts),
        },
        "fields": {"idempotency_id": notification.idempotency_id, "severity": notification.severity},
    }
    envelope.update({key: connector.options[key] for key in ("index", "host") if key in connector.options})
    channel = connector.options.get("channel")
    return _request(connector, _encode(envelope), {"X-Splunk-Request-Channel": channel} if channel else {})


def build_sentinel(connector: Connector, notification: Notification, _now: datetime) -> PreparedRequest:
    """Return the array of rows that the Logs Ingestion API takes; column names are the stream's."""
    row = {
        "TimeGenerated": _iso(notification.occurred_at),
        "IdempotencyId": notification.idempotency_id,
        "EventType": notification.event_type,
        "Title": notification.title,
        "Summary": notification.summary,
        "Severity": notification.severity,
        "Subject": notification.subject,
        "Facts": dict(notification.facts),
    }
    # this header takes a UUID and nothing else: the same one for every attempt
    request_id = str(uuid5(NAMESPACE_URL, f"{SOURCE}:{notification.idempotency_id}"))
    return _request(connector, _encode([row]), {"x-ms-client-request-id": request_id})


def build_datadog(connector: Connector, notification: Notification, now: datetime) -> PreparedRequest:
    """Return a v1 event; a repeat of it is shown under the same aggregation key."""
    lines = [notification.summary] + [f"{name}: {_shown(value)}" for name, value in _facts(notification).items()]
    payload: dict[str, Any] = {
        "title": _cut(datadog(notification.title), 100),
        "text": _cut(_lines(datadog, "\n".join(lines)), 4000),
        "alert_type": {"info": "info", "warning": "warning", "critical": "error"}[notification.severity],
        "priority": "normal",
        "aggregation_key": notification.idempotency_id,
        "tags": [
            f"source:{SOURCE}",
            f"event_type:{notification.event_type}",
            f"idempotency_id:{notification.idempotency_id}",
        ],
    }
    # Datadog refuses an event older than 18 hours: the fact "occurred_at" still says when it was
    if timedelta(0) <= now - notification.occurred_at < _DATADOG_OLDEST:
        payload["date_happened"] = int(notification.occurred_at.timestamp())
    return _request(connector, _encode(payload))


def _request(connector: Connector, body: bytes, extra: Mapping[str, str] | None = None) -> PreparedRequest:
    headers = {
        **connector.headers,
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
        **(extra or {}),
    }
    return PreparedRequest(connector.method, connector.url, headers, connector.secret_headers, body)


def _facts(notification: Notification) -> dict[str, FactValue]:
    """The facts as people read them: what it is about and since when, then the caller's own, in its order."""
    return {
        "severity": notification.severity,
        "subject": notification.subject,
        "occurred_at": _iso(notification.occurred_at),
        **notification.facts,
    }


def _encode(payload: object) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")


def _iso(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _shown(value: FactValue) -> str:
    return "-" if value is None or value == "" else str(value)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _lines(escaped: Callable[[object], str], text: str) -> str:
    """The summary's lines are the caller's own; what stands in each is not."""
    return "\n".join(map(escaped, text.split("\n")))


def _slack(text: str, limit: int) -> dict[str, Any]:
    # plain_text: Slack applies no formatting to it; the entities keep mentions and links out all the same
    return {"type": "plain_text", "text": _cut(_lines(slack, text), limit), "emoji": False}
