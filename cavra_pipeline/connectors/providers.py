"""The providers, as data: one row each, no copies.

What belongs here: which function builds a provider's request, which one grades its answer, and what its
configuration may hold.
What does not: those functions themselves (requests, grading) and reading configuration (config).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from cavra_pipeline.connectors import grading, requests
from cavra_pipeline.connectors.connector import Connector
from cavra_pipeline.connectors.grading import GradedResponse
from cavra_pipeline.connectors.notification import Notification
from cavra_pipeline.connectors.requests import PreparedRequest
from cavra_pipeline.provider_names import provider_name


@dataclass(frozen=True, slots=True)
class Option:
    """A provider's own key: what it may look like, and what it is if it is left out."""

    pattern: re.Pattern[str]
    form: str
    default: str | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class TokenService:
    """The service that issues access tokens for an API; its address ends in `path`, options in braces."""

    authority: str
    path: str
    scope: str


@dataclass(frozen=True, slots=True)
class Provider:
    """Properties of one provider."""

    build: Callable[[Connector, Notification, datetime], PreparedRequest]
    grade: Callable[[int, bytes | None], GradedResponse]
    # appended to an address that has no path of its own; options in braces
    path: str = ""
    credential: Literal["address", "authorization", "api_key", "signature"] = "authorization"
    scheme: str = "Bearer"
    api_key_header: str = "X-API-Key"
    methods: tuple[str, ...] = ("POST",)
    options: Mapping[str, Option] = field(default_factory=dict)
    # whether a repeat with the same id is taken once: only then may an ambiguous try be repeated at once
    deduplicates: Callable[[Connector], bool] = lambda _connector: False
    token_service: TokenService | None = None


_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:-]{0,99}")
_WORD_FORM = "1 to 100 letters, digits, spaces and . _ : -"

PROVIDERS: Mapping[str, Provider] = {
    "webhook": Provider(
        build=requests.build_webhook,
        grade=grading.grade_webhook,
        credential="signature",
        methods=("POST", "PUT"),
        deduplicates=lambda _connector: True,
    ),
    "slack": Provider(build=requests.build_slack, grade=grading.grade_slack, credential="address"),
    "teams": Provider(build=requests.build_teams, grade=grading.grade_teams, credential="address"),
    "jira": Provider(
        build=requests.build_jira,
        grade=grading.grade_jira,
        path="/rest/api/3/issue",
        options={
            "project_key": Option(
                re.compile(r"[A-Z][A-Z0-9_]{1,99}"), "a project key such as OPS, in capitals", required=True
            ),
            "issue_type": Option(_WORD, _WORD_FORM, default="Task"),
        },
    ),
    "servicenow": Provider(
        build=requests.build_servicenow,
        grade=grading.grade_servicenow,
        path="/api/now/table/{table}",
        options={
            "table": Option(re.compile(r"em_event|incident"), "em_event or incident", default="em_event"),
            "node": Option(_WORD, _WORD_FORM),
        },
        deduplicates=lambda connector: connector.options["table"] == "em_event",
    ),
    "splunk": Provider(
        build=requests.build_splunk,
        grade=grading.grade_splunk,
        path="/services/collector/event",
        scheme="Splunk",
        options={
            "index": Option(re.compile(r"[a-z0-9_][a-z0-9_-]{0,79}"), "an index name in lower case"),
            "sourcetype": Option(_WORD, _WORD_FORM, default="cavra:notification"),
            "host": Option(_WORD, _WORD_FORM),
            "channel": Option(
                re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
                "a GUID, for a token with acknowledgement",
            ),
        },
    ),
    "sentinel": Provider(
        build=requests.build_sentinel,
        grade=grading.grade_sentinel,
        path="/dataCollectionRules/{dcr}/streams/{stream}?api-version=2023-01-01",
        token_service=TokenService(
            authority="https://login.microsoftonline.com",
            path="/{tenant_id}/oauth2/v2.0/token",
            scope="https://monitor.azure.com/.default",
        ),
        options={
            "dcr": Option(
                re.compile(r"dcr-[A-Za-z0-9-]{1,64}"), "the immutable id of the rule, dcr-...", required=True
            ),
            "stream": Option(
                re.compile(r"(Custom|Microsoft)-[A-Za-z0-9_-]{1,90}"),
                "the rule's stream, Custom-... or Microsoft-...",
                required=True,
            ),
        },
    ),
    "datadog": Provider(
        build=requests.build_datadog,
        grade=grading.grade_datadog,
        path="/api/v1/events",
        credential="api_key",
        api_key_header="DD-API-KEY",
    ),
}


def prepare(connector: Connector, notification: Notification, now: datetime) -> PreparedRequest:
    """Return the request of one attempt, made `now`."""
    return PROVIDERS[connector.provider].build(connector, notification, now)


def grade(provider: str, status_code: int, body: bytes | None) -> GradedResponse:
    """Grade an answer by its API's own rules; `body` is None if it could not be read."""
    return PROVIDERS[provider_name(provider)].grade(status_code, body)
