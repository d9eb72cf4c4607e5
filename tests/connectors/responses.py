"""The response table: what each API answers and what it means; the tests and `docs/connectors-answers-table.md` share it."""

# ruff: noqa: E501  (one row, one line)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cavra_pipeline.connectors import Grade
from tests.connectors.examples import NOW

STANDARD = "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"
SLACK = "https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks"
SLACK_LIMITS = "https://docs.slack.dev/apis/web-api/rate-limits"
SLACK_ERRORS = "https://docs.slack.dev/reference/methods/chat.postMessage"
TEAMS_200 = "https://github.com/MicrosoftDocs/msteams-docs/issues/1810"
TEAMS_429 = "https://github.com/MicrosoftDocs/msteams-docs/issues/7425"
TEAMS_COUNT = "https://github.com/MicrosoftDocs/msteams-docs/issues/9698"
TEAMS_RESPONSE = "https://learn.microsoft.com/en-us/azure/connectors/connectors-native-reqres"
TEAMS_202 = "https://github.com/Skitionek/notify-microsoft-teams/issues/98"
JIRA = "https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/#api-rest-api-3-issue-post"
JIRA_LIMITS = "https://developer.atlassian.com/cloud/jira/platform/rate-limiting/"
SERVICENOW = "https://www.servicenow.com/docs/r/api-reference/rest-apis/c_TableAPI.html"
SERVICENOW_LIMITS = "https://www.servicenow.com/docs/bundle/australia-api-reference/page/integrate/inbound-rest/concept/inbound-REST-API-rate-limiting.html"
SPLUNK = (
    "https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data/troubleshoot-http-event-collector"
)
SPLUNK_ACK = "https://help.splunk.com/splunk-enterprise/get-data-in/collect-http-event-data/about-http-event-collector-indexer-acknowledgment"
AZURE = "https://learn.microsoft.com/en-us/azure/azure-monitor/logs/logs-ingestion-api-overview"
AZURE_API = "https://github.com/Azure/azure-rest-api-specs/blob/main/specification/monitor/data-plane/ingestion/stable/2023-01-01/DataCollectionRules.json"
AZURE_LIMITS = "https://learn.microsoft.com/en-us/azure/azure-monitor/service-limits"
DATADOG = "https://docs.datadoghq.com/api/latest/events/post-an-event/"
DATADOG_LIMITS = "https://docs.datadoghq.com/api/latest/rate-limits/"
RFC9110 = "https://www.rfc-editor.org/rfc/rfc9110"
RFC6585 = "https://www.rfc-editor.org/rfc/rfc6585#section-4"
RFC8470 = "https://www.rfc-editor.org/rfc/rfc8470#section-5.2"
RETRY_AFTER = f"{RFC9110}#section-10.2.3"
TLS = "https://docs.openssl.org/3.0/man1/openssl-verification-options/#diagnostics"
RFC9525 = "https://www.rfc-editor.org/rfc/rfc9525"
SENT = f"{RFC9110}#section-9.2.2"
GITHUB_LIMITS = "https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"
RATE_LIMIT_DRAFT = "https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/07/"
NOW_EPOCH = int(NOW.timestamp())
POSIX = "https://pubs.opengroup.org/onlinepubs/9799919799/functions/connect.html"

Wire = Literal[
    # the request arrives, then
    "answer", "hang", "reset", "closed", "no_http", "reset_in_body", "cut_chunks", "slow_body", "slow_head",
    "endless_head",
    # nothing arrives: there is no name, nobody listens, or a certificate or a proxy is in the way
    "no_name", "refused", "full_port", "no_tls", "expired", "not_yet_valid", "wrong_host", "self_signed", "unknown_authority",
    "proxy_refused", "proxy_no_name", "proxy_407", "proxy_403", "proxy_silent",
    "proxy_expired",
]  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One row: an answer, its grade and reason, and who says so. Without a provider it holds for all eight."""

    provider: str
    status: int | None
    shape: str
    grade: Grade
    reason: str
    source: str
    body: bytes = b""
    headers: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    wire: Wire = "answer"
    # seconds until another attempt may be made, where the answer says so
    floor: int | None = None

    @property
    def name(self) -> str:
        """What pytest and the docs call it."""
        return f"{self.provider} {self.status or '-'} {self.shape}"


D, A, R = Grade.DELIVERED, Grade.ACCEPTED, Grade.REJECTED
T, F, U = Grade.THROTTLED, Grade.FAILED, Grade.AMBIGUOUS
TEAMS_ERROR = (
    b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error %d with ContextId tcid=0"
)

RESPONSES: tuple[Row, ...] = (
    # every provider
    Row("all", 301, "redirect, not followed", R, "http_301", f"{STANDARD}, RFC 9110 15.4", headers={"Location": "/moved"}),
    Row("all", 400, "bad request", R, "http_400", f"{RFC9110}#section-15.5.1"),
    Row("all", 401, "credential refused", R, "http_401", f"{RFC9110}#section-15.5.2"),
    Row("all", 403, "not allowed", R, "http_403", f"{RFC9110}#section-15.5.4"),
    Row("all", 404, "no such address", R, "http_404", f"{RFC9110}#section-15.5.5"),
    Row("all", 408, "request timed out on their side", F, "http_408", f"{RFC9110}#section-15.5.9"),
    Row("all", 410, "gone", R, "http_410", f"{RFC9110}#section-15.5.11"),
    Row("all", 413, "too large", R, "http_413", f"{RFC9110}#section-15.5.14"),
    Row("all", 425, "too early", F, "http_425", RFC8470),
    Row("all", 429, "too many requests", T, "http_429", RFC6585),
    Row("all", 500, "internal error", F, "http_500", f"{RFC9110}#section-15.6.1"),
    Row("all", 502, "bad gateway", F, "http_502", f"{RFC9110}#section-15.6.3"),
    Row("all", 503, "unavailable", F, "http_503", f"{RFC9110}#section-15.6.4"),
    Row("all", 504, "gateway timed out: the API may have acted", U, "http_504", f"{RFC9110}#section-15.6.5"),
    Row("all", 429, "too many, `Retry-After` in seconds", T, "http_429", RETRY_AFTER, headers={"Retry-After": "120"}, floor=120),
    Row("all", 429, "too many, `Retry-After` with a fraction", T, "http_429", RETRY_AFTER, headers={"Retry-After": "29.2"}, floor=30),
    Row("all", 503, "unavailable, `Retry-After` as a date", F, "http_503", RETRY_AFTER, headers={"Retry-After": "Mon, 23 Nov 2026 06:10:00 GMT"}, floor=600),
    Row("all", 429, "too many, `Retry-After` as a list", T, "http_429", RETRY_AFTER, headers={"Retry-After": "60, 120"}, floor=120),
    Row("all", 429, "too many, `Retry-After` several times", T, "http_429", RETRY_AFTER, headers={"Retry-After": ("Mon, 23 Nov 2026 06:10:00 GMT", "120")}, floor=600),
    Row("all", 429, "too many, `Retry-After` as a Unix time", T, "http_429", GITHUB_LIMITS, headers={"Retry-After": str(NOW_EPOCH + 300)}, floor=300),
    Row("all", 429, "too many, `Retry-After` as a Unix time in milliseconds", T, "http_429", GITHUB_LIMITS, headers={"Retry-After": str((NOW_EPOCH + 300) * 1000)}, floor=300),
    Row("all", 429, "too many, a `Retry-After` that says nothing", T, "http_429", RETRY_AFTER, headers={"Retry-After": "soon"}),
    Row("all", 429, "too many, only `RateLimit-Reset`", T, "http_429", RATE_LIMIT_DRAFT, headers={"RateLimit-Reset": "40"}, floor=40),
    Row("all", 503, "unavailable, only `X-RateLimit-Reset`, which is not about this", F, "http_503", RATE_LIMIT_DRAFT, headers={"X-RateLimit-Reset": "40"}),
    Row("all", None, "host name not resolved", F, "name_not_resolved", "RFC 6761, section 6.4", wire="no_name"),
    Row("all", None, "connection refused", F, "connection_refused", POSIX, wire="refused"),
    Row("all", None, "no connection in time", F, "connect_timeout", POSIX, wire="full_port"),
    Row("all", None, "certificate has expired", F, "tls_certificate_expired", TLS, wire="expired"),
    Row("all", None, "certificate is not valid yet", F, "tls_certificate_not_yet_valid", TLS, wire="not_yet_valid"),
    Row("all", None, "certificate of another host", F, "tls_hostname_mismatch", RFC9525, wire="wrong_host"),
    Row("all", None, "self-signed certificate", F, "tls_certificate_self_signed", TLS, wire="self_signed"),
    Row("all", None, "certificate of an unknown authority", F, "tls_unknown_authority", TLS, wire="unknown_authority"),
    Row("all", None, "no TLS on that port", F, "tls_failed", TLS, wire="no_tls"),
    Row("all", None, "proxy refuses the connection", F, "proxy_connection_refused", POSIX, wire="proxy_refused"),
    Row("all", None, "proxy's name not resolved", F, "proxy_name_not_resolved", "RFC 6761, section 6.4", wire="proxy_no_name"),
    Row("all", None, "proxy wants credentials", F, "proxy_authentication_required", f"{RFC9110}#section-15.5.8", wire="proxy_407"),
    Row("all", None, "proxy does not allow it", F, "proxy_http_403", f"{RFC9110}#section-9.3.6", wire="proxy_403"),
    Row("all", None, "proxy does not answer in time", F, "proxy_timeout", f"{RFC9110}#section-9.3.6", wire="proxy_silent"),
    Row("all", None, "proxy's certificate has expired", F, "proxy_tls_certificate_expired", TLS, wire="proxy_expired"),
    Row("all", None, "no answer in time, after the request", U, "timeout_after_send", SENT, wire="hang"),
    Row("all", None, "head too slow to wait for", U, "timeout_after_send", SENT, wire="slow_head"),
    Row("all", None, "head without an end", U, "connection_lost_after_send", SENT, wire="endless_head"),
    Row("all", None, "connection reset, after the request", U, "connection_lost_after_send", SENT, wire="reset"),
    Row("all", None, "connection closed, after the request", U, "connection_lost_after_send", SENT, wire="closed"),
    Row("all", None, "an answer that is no HTTP", U, "connection_lost_after_send", SENT, wire="no_http"),
    # webhook
    Row("webhook", 200, "any body", D, "http_200", STANDARD, b"<p>whatever</p>"),
    Row("webhook", 204, "no body", D, "http_204", STANDARD),
    Row("webhook", 202, "queued", A, "http_202", f"{RFC9110}#section-15.3.3"),
    Row("webhook", 200, "body lost on the way", D, "http_200", STANDARD, wire="reset_in_body"),
    Row("webhook", 200, "body too slow to wait for", D, "http_200", STANDARD, wire="slow_body"),
    # slack
    Row("slack", 200, "body `ok`", D, "http_200", SLACK, b"ok"),
    Row("slack", 200, "`ok: true`", D, "http_200", SLACK_ERRORS, b'{"ok":true}'),
    Row("slack", 200, "`ok: false`", R, "slack_ok_false", SLACK_ERRORS, b'{"ok":false,"error":"channel_not_found"}'),
    Row("slack", 200, "`ok: false`, rate limited", T, "slack_rate_limited", SLACK_ERRORS, b'{"ok":false,"error":"ratelimited"}'),
    Row("slack", 200, "`ok: false`, error of Slack's own", F, "slack_internal_error", SLACK_ERRORS, b'{"ok":false,"error":"internal_error"}'),
    Row("slack", 200, "another body", R, "slack_body_not_ok", SLACK, b"no_text"),
    Row("slack", 200, "empty body", R, "slack_body_not_ok", SLACK),
    Row("slack", 200, "body lost on the way", U, "body_unread", SLACK, wire="reset_in_body"),
    Row("slack", 200, "chunked body without its end", U, "body_unread", SLACK, wire="cut_chunks"),
    Row("slack", 200, "compressed body, which was declined", U, "body_unread", f"{RFC9110}#section-12.5.3", b"ok", headers={"Content-Encoding": "gzip"}),
    Row("slack", 200, "body over the limit", U, "body_unread", SLACK, b"ok".ljust(100_000)),
    Row("slack", 200, "body too slow to wait for", U, "body_unread", SLACK, wire="slow_body"),
    Row("slack", 403, "`action_prohibited`", R, "http_403", SLACK, b"action_prohibited"),
    Row("slack", 410, "`channel_is_archived`", R, "http_410", SLACK, b"channel_is_archived"),
    Row("slack", 429, "too many, with Retry-After", T, "http_429", SLACK_LIMITS, headers={"Retry-After": "30"}, floor=30),
    Row("slack", 500, "`rollup_error`", F, "http_500", SLACK, b"rollup_error"),
    # teams
    Row("teams", 202, "workflow queued", A, "http_202", TEAMS_202),
    Row("teams", 200, "body `1`, the number of messages", D, "http_200", TEAMS_COUNT, b"1"),
    Row("teams", 200, "error text with 429", T, "teams_body_http_429", TEAMS_429, TEAMS_ERROR % 429),
    Row("teams", 200, "error text with 413", R, "teams_body_http_413", TEAMS_200, TEAMS_ERROR % 413),
    Row("teams", 200, "error text with 503", F, "teams_body_http_503", TEAMS_200, TEAMS_ERROR % 503),
    Row("teams", 200, "error text without a number", R, "teams_body_error", TEAMS_COUNT, b"Webhook Bad Request"),
    Row("teams", 200, "body `0`", R, "teams_body_error", TEAMS_COUNT, b"0"),
    Row("teams", 200, "empty body, of a workflow", A, "http_200", TEAMS_RESPONSE),
    Row("teams", 200, "JSON, of a workflow", A, "http_200", TEAMS_RESPONSE, b'{"status":"accepted"}'),
    Row("teams", 200, "JSON with an error, of a workflow", R, "teams_body_error", TEAMS_RESPONSE, b'{"error":{"code":"BadRequest"}}'),
    Row("teams", 400, "workflow whose trigger refuses the body", R, "http_400", TEAMS_RESPONSE, b'{"error":{"code":"TriggerInputSchemaMismatch"}}'),
    Row("teams", 200, "body lost on the way", U, "body_unread", TEAMS_COUNT, wire="reset_in_body"),
    # jira
    Row("jira", 201, "issue created", D, "http_201", JIRA, b'{"id":"10000","key":"OPS-24"}'),
    Row("jira", 201, "created, body lost on the way", D, "http_201", JIRA, wire="reset_in_body"),
    Row("jira", 200, "not a created issue", R, "jira_not_created", JIRA, b"<html>log in</html>"),
    Row("jira", 400, "field errors", R, "http_400", JIRA, b'{"errorMessages":[],"errors":{"project":"is required"}}'),
    Row("jira", 429, "too many, with Retry-After", T, "http_429", JIRA_LIMITS, headers={"Retry-After": "5"}, floor=5),
    Row("jira", 429, "too many, with the instant of the reset", T, "http_429", JIRA_LIMITS, headers={"X-RateLimit-Reset": "2026-11-23T06:05Z"}, floor=300),
    Row("jira", 503, "resource limit, with Retry-After", F, "http_503", JIRA_LIMITS, headers={"Retry-After": "5"}, floor=5),
    # servicenow
    Row("servicenow", 201, "row created", D, "http_201", SERVICENOW, b'{"result":{"sys_id":"1"}}'),
    Row("servicenow", 200, "row, by an older release", D, "http_200", SERVICENOW, b'{"result":{"sys_id":"1"}}'),
    Row("servicenow", 200, "web page of a sleeping instance", R, "servicenow_body_not_json", SERVICENOW, b"<html></html>"),
    Row("servicenow", 201, "`status: failure`", R, "servicenow_body_error", SERVICENOW, b'{"error":{"message":"x"},"status":"failure"}'),
    Row("servicenow", 201, "an error beside a result", R, "servicenow_body_error", SERVICENOW, b'{"error":{"message":"x"},"result":{"sys_id":"1"}}'),
    Row("servicenow", 201, "no result", R, "servicenow_body_error", SERVICENOW, b"{}"),
    Row("servicenow", 201, "body lost on the way", U, "body_unread", SERVICENOW, wire="reset_in_body"),
    Row("servicenow", 429, "rate limit rule, with the Unix time of its reset", T, "http_429", SERVICENOW_LIMITS, headers={"X-RateLimit-Reset": str(NOW_EPOCH + 900)}, floor=900),
    Row("servicenow", 429, "rate limit rule, with Retry-After", T, "http_429", SERVICENOW_LIMITS, headers={"Retry-After": "60"}, floor=60),
    # splunk
    Row("splunk", 200, "code 0: valid, not yet indexed", A, "splunk_code_0", SPLUNK_ACK, b'{"text":"Success","code":0}'),
    Row("splunk", 200, "code 0 with ackId", A, "splunk_code_0", SPLUNK_ACK, b'{"text":"Success","code":0,"ackId":7}'),
    Row("splunk", 200, "code other than 0", R, "splunk_code_6", SPLUNK, b'{"text":"Invalid data format","code":6}'),
    Row("splunk", 200, "code 9 in a 200", F, "splunk_code_9", SPLUNK, b'{"text":"Server is busy","code":9}'),
    Row("splunk", 200, "no code", R, "splunk_body_without_code", SPLUNK, b"<html></html>"),
    Row("splunk", 200, "body lost on the way", U, "body_unread", SPLUNK, wire="reset_in_body"),
    Row("splunk", 400, "code 7, incorrect index", R, "splunk_code_7", SPLUNK, b'{"text":"Incorrect index","code":7}'),
    Row("splunk", 400, "code 10, channel is missing", R, "splunk_code_10", SPLUNK, b'{"text":"Data channel is missing","code":10}'),
    Row("splunk", 401, "code 3, invalid authorization", R, "splunk_code_3", SPLUNK, b'{"text":"Invalid authorization","code":3}'),
    Row("splunk", 403, "code 4, invalid token", R, "splunk_code_4", SPLUNK, b'{"text":"Invalid token","code":4}'),
    Row("splunk", 500, "code 8, internal error", F, "splunk_code_8", SPLUNK, b'{"text":"Internal server error","code":8}'),
    Row("splunk", 503, "code 9, busy", F, "splunk_code_9", SPLUNK, b'{"text":"Server is busy","code":9}'),
    Row("splunk", 503, "code 23, shutting down", F, "splunk_code_23", SPLUNK, b'{"text":"Server is shutting down","code":23}'),
    Row("splunk", 503, "no code, from a proxy", F, "http_503", SPLUNK, b"<html></html>"),
    # sentinel
    Row("sentinel", 204, "rows taken", D, "http_204", AZURE_API),
    Row("sentinel", 202, "queued", A, "http_202", f"{RFC9110}#section-15.3.3"),
    Row("sentinel", 200, "not an ingestion answer", R, "sentinel_not_ingested", AZURE_API, b"<html></html>"),
    Row("sentinel", 403, "no right on the rule", R, "http_403", AZURE, b'{"error":{"code":"OperationFailed"}}'),
    Row("sentinel", 429, "limit, with Retry-After", T, "http_429", AZURE_LIMITS, headers={"Retry-After": "30"}, floor=30),
    # datadog
    Row("datadog", 202, "`status: ok`", A, "http_202", DATADOG, b'{"status":"ok","event":{"id":1}}'),
    Row("datadog", 202, "errors in the body", R, "datadog_body_error", DATADOG, b'{"errors":["Invalid"]}'),
    Row("datadog", 202, "another status", R, "datadog_body_error", DATADOG, b'{"status":"error"}'),
    Row("datadog", 200, "not JSON", R, "datadog_body_not_json", DATADOG, b"<html></html>"),
    Row("datadog", 202, "body lost on the way", U, "body_unread", DATADOG, wire="reset_in_body"),
    Row("datadog", 403, "key refused", R, "http_403", DATADOG, b'{"errors":["Forbidden"]}'),
    Row("datadog", 429, "limit, with X-RateLimit-Reset", T, "http_429", DATADOG_LIMITS, headers={"X-RateLimit-Reset": "12"}, floor=12),
)  # fmt: skip


def as_markdown(row: Row) -> str:
    """The row as it stands in the docs."""
    again = "yes" if row.grade.transient else "no"
    status = "none" if row.status is None else str(row.status)
    return f"| {row.provider} | {status} | {row.shape} | {row.grade} | {again} | `{row.reason}` | {row.source} |"
