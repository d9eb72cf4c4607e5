"""Grades of an API's answers, by the rules of that API.

What belongs here: status and body of an answer to a grade and a reason code of ours.
What does not: sending, waiting, and any text of the answer: a body is looked at and forgotten.

The rules and their sources are the table in `docs/connectors-answers-table.md`, one test for each row.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Grade(StrEnum):
    """Grade of one attempt."""

    DELIVERED = "delivered"  # the API said that it is done
    ACCEPTED = "accepted"  # taken and queued, not confirmed
    REJECTED = "rejected"  # permanent: the same request would be refused again
    THROTTLED = "throttled"  # transient: too many requests
    FAILED = "failed"  # transient: the other side, or the way to it, is not well
    AMBIGUOUS = "ambiguous"  # sent, and no one knows what became of it

    @property
    def success(self) -> bool:
        """Whether the message was taken."""
        return self in (Grade.DELIVERED, Grade.ACCEPTED)

    @property
    def transient(self) -> bool:
        """Whether a later attempt with the same id makes sense."""
        return self in (Grade.THROTTLED, Grade.FAILED, Grade.AMBIGUOUS)


@dataclass(frozen=True, slots=True)
class GradedResponse:
    """A grade and why, as a code that holds nothing of the answer's text."""

    grade: Grade
    reason: str


BODY_UNREAD = "body_unread"

# RFC 9110 section 15.5.9 (408), RFC 8470 section 5.2 (425), RFC 6585 section 4 (429)
_TRANSIENT_4XX = {408, 425}
_TOO_MANY_REQUESTS = 429
_GATEWAY_TIMEOUT = 504

# Splunk: internal error, busy, queues or acknowledgements unhealthy, shutting down
_SPLUNK_TRANSIENT_CODES = {8, 9, 18, 19, 20, 23}
# Slack: failures of Slack's own, by the error codes its methods share
_SLACK_TRANSIENT_ERRORS = {"fatal_error", "internal_error", "request_timeout", "service_unavailable"}
_SLACK_THROTTLED_ERRORS = {"ratelimited", "rate_limited", "message_limit_exceeded"}
_TEAMS_WRAPPED_STATUS = re.compile(r"HTTP error (\d{3})\b")


def grade_webhook(status: int, _body: bytes | None) -> GradedResponse:
    """Any 2xx is success, the body says nothing; 410 means never again."""
    if status == 202:
        return GradedResponse(Grade.ACCEPTED, "http_202")
    if _is_2xx(status):
        return GradedResponse(Grade.DELIVERED, f"http_{status}")
    return grade_by_status(status)


def grade_slack(status: int, body: bytes | None) -> GradedResponse:
    """A 200 counts only if the body is `ok`, or JSON that says `"ok": true`."""
    if not _is_2xx(status):
        return grade_by_status(status)
    if body is None:
        return GradedResponse(Grade.AMBIGUOUS, BODY_UNREAD)
    answer = _json(body)
    if _text(body) == "ok" or (isinstance(answer, dict) and answer.get("ok") is True):
        return GradedResponse(Grade.DELIVERED, f"http_{status}")
    if not isinstance(answer, dict) or answer.get("ok") is not False:
        return GradedResponse(Grade.REJECTED, "slack_body_not_ok")
    error = answer.get("error")
    if error in _SLACK_THROTTLED_ERRORS:
        return GradedResponse(Grade.THROTTLED, "slack_rate_limited")
    if error in _SLACK_TRANSIENT_ERRORS:
        return GradedResponse(Grade.FAILED, "slack_internal_error")
    return GradedResponse(Grade.REJECTED, "slack_ok_false")


def grade_teams(status: int, body: bytes | None) -> GradedResponse:
    """A workflow answers 202, or what its author made it answer; a classic webhook answers with a number, or an error.

    A classic webhook says 200 for an error too: only a positive number means that it posted. A 2xx of a workflow whose
    body is empty, or JSON without an `error`, says that the flow took the request.
    """
    if status == 202:
        return GradedResponse(Grade.ACCEPTED, "http_202")
    if not _is_2xx(status):
        return grade_by_status(status)
    if body is None:
        return GradedResponse(Grade.AMBIGUOUS, BODY_UNREAD)
    text = _text(body)
    if re.fullmatch(r"[1-9][0-9]*", text):
        return GradedResponse(Grade.DELIVERED, f"http_{status}")
    wrapped = _TEAMS_WRAPPED_STATUS.search(text)
    if wrapped and not _is_2xx(int(wrapped[1])):
        return GradedResponse(grade_by_status(int(wrapped[1])).grade, f"teams_body_http_{wrapped[1]}")
    answer = _json(body)
    is_error = isinstance(answer, dict) and bool(answer.get("error"))
    if not text or (isinstance(answer, dict | list) and not is_error):
        return GradedResponse(Grade.ACCEPTED, f"http_{status}")
    return GradedResponse(Grade.REJECTED, "teams_body_error")


def grade_jira(status: int, _body: bytes | None) -> GradedResponse:
    """Only 201 creates an issue."""
    if status == 201:
        return GradedResponse(Grade.DELIVERED, "http_201")
    if _is_2xx(status):
        return GradedResponse(Grade.REJECTED, "jira_not_created")
    return grade_by_status(status)


def grade_servicenow(status: int, body: bytes | None) -> GradedResponse:
    """A 2xx counts only with a `result` in its body: a sleeping instance answers 200 with a web page."""
    if not _is_2xx(status):
        return grade_by_status(status)
    if body is None:
        return GradedResponse(Grade.AMBIGUOUS, BODY_UNREAD)
    answer = _json(body)
    if not isinstance(answer, dict):
        return GradedResponse(Grade.REJECTED, "servicenow_body_not_json")
    if answer.get("error") or answer.get("status") == "failure" or not answer.get("result"):
        return GradedResponse(Grade.REJECTED, "servicenow_body_error")
    return GradedResponse(Grade.DELIVERED, f"http_{status}")


def grade_splunk(status: int, body: bytes | None) -> GradedResponse:
    """The `code` in the body decides; code 0 says that the event looked valid, not that it was indexed."""
    if body is None and _is_2xx(status):
        return GradedResponse(Grade.AMBIGUOUS, BODY_UNREAD)
    answer = _json(body or b"")
    code = answer.get("code") if isinstance(answer, dict) else None
    if not isinstance(code, int) or isinstance(code, bool):
        return (
            GradedResponse(Grade.REJECTED, "splunk_body_without_code") if _is_2xx(status) else grade_by_status(status)
        )
    if code == 0 and _is_2xx(status):
        return GradedResponse(Grade.ACCEPTED, "splunk_code_0")
    reason = f"splunk_code_{code}" if 0 <= code <= 99 else "splunk_code_unknown"
    if code in _SPLUNK_TRANSIENT_CODES:
        return GradedResponse(Grade.FAILED, reason)
    return GradedResponse(Grade.REJECTED if _is_2xx(status) else grade_by_status(status).grade, reason)


def grade_sentinel(status: int, _body: bytes | None) -> GradedResponse:
    """The Logs Ingestion API answers 204 and nothing else when it took the rows."""
    if status == 204:
        return GradedResponse(Grade.DELIVERED, "http_204")
    if status == 202:
        return GradedResponse(Grade.ACCEPTED, "http_202")
    if _is_2xx(status):
        return GradedResponse(Grade.REJECTED, "sentinel_not_ingested")
    return grade_by_status(status)


def grade_datadog(status: int, body: bytes | None) -> GradedResponse:
    """202 is a queued event, unless the body lists errors or has a status other than `ok`."""
    if not _is_2xx(status):
        return grade_by_status(status)
    if body is None:
        return GradedResponse(Grade.AMBIGUOUS, BODY_UNREAD)
    answer = _json(body)
    if not isinstance(answer, dict):
        return GradedResponse(Grade.REJECTED, "datadog_body_not_json")
    if answer.get("errors") or answer.get("status", "ok") != "ok":
        return GradedResponse(Grade.REJECTED, "datadog_body_error")
    return GradedResponse(Grade.ACCEPTED, f"http_{status}")


def grade_by_status(status: int) -> GradedResponse:
    """Grade a status that is not 2xx by RFC 9110 alone."""
    reason = f"http_{status}"
    if status == _TOO_MANY_REQUESTS:
        return GradedResponse(Grade.THROTTLED, reason)
    if status == _GATEWAY_TIMEOUT:
        # a proxy lost sight of a request that it had passed on (RFC 9110 section 15.6.5)
        return GradedResponse(Grade.AMBIGUOUS, reason)
    if status in _TRANSIENT_4XX or 500 <= status <= 599:
        return GradedResponse(Grade.FAILED, reason)
    return GradedResponse(Grade.REJECTED, reason)


def _is_2xx(status: int) -> bool:
    return 200 <= status <= 299


def _text(body: bytes) -> str:
    return body.decode("utf-8", errors="replace").strip().lstrip("\ufeff")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
