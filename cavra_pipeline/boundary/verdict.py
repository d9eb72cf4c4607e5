"""Result of the boundary for one line: the allowlisted record or the reason of its rejection, and the findings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

ACTOR_CODE: Final = "unsafe-actor-label"
NOT_AN_IDENTIFIER: Final = "not-an-identifier"
#: Rules whose findings are no secrets: they raise no alert.
NOT_SECRETS: Final = frozenset({ACTOR_CODE, NOT_AN_IDENTIFIER})


class Reason(StrEnum):
    """Why a line was quarantined."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    DUPLICATE_KEY = "duplicate_key"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_TIMESTAMP = "bad_timestamp"
    TOO_LONG = "value_too_long"
    INVALID_UTF8 = "invalid_utf8"
    LINE_TOO_LONG = "line_too_long"
    SCANNER_FAILED = "scanner_failed"
    SECRET = "secret_in_field"  # noqa: S105 -- a reason code


class Action(StrEnum):
    """What became of the value a finding is about. Earlier builds wrote ``redacted`` for an actor."""

    DROPPED = "dropped"
    QUARANTINED = "quarantined"
    PSEUDONYMISED = "pseudonymised"
    REDACTED = "redacted"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not public-safe: the rule, the dotted path and what became of it. Never the value."""

    rule: str
    path: str
    action: Action


@dataclass(frozen=True, slots=True)
class Kept:
    """A record that may pass, cut down to its allowlist."""

    record: dict[str, object]
    dropped_field_count: int
    findings: tuple[Finding, ...]

    def line(self) -> str:
        """The record as one JSON line, as ``import`` writes it."""
        return json.dumps(self.record, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A line that may not pass: the reason code, the allowlisted field it is about, if any, and the findings."""

    reason: Reason
    field: str | None
    findings: tuple[Finding, ...] = ()
    created_at: datetime | None = None


class Rejection(Exception):
    """Stops the judgement of one line; never leaves the boundary."""

    def __init__(self, reason: Reason, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.field = reason, field


@dataclass(frozen=True, slots=True)
class QuarantinedLine:
    """A rejected line: where it stood, its digest and why."""

    line_number: int
    sha256: str
    reason: str
    field: str | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class LineFinding:
    """A finding at a line; the digest of the line, where it is known, tells a finding from the same one read again."""

    line_number: int
    rule: str
    path: str
    action: str
    sha256: str | None = None
