"""Intents: what is to be sent to whom, stored before the send; rows of ``send_intents`` to objects and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from cavra_pipeline.connectors import DeliveryOutcome, Grade, Notification
from cavra_pipeline.documents import canonical_json, instant, naive_utc
from cavra_pipeline.warehouse import Rows, Session

PACKAGE: Final = "cavra_pipeline.sending"
_TYPES: Final = {
    "intent_id": "VARCHAR", "purpose": "VARCHAR", "lane": "VARCHAR", "subject": "VARCHAR", "provider": "VARCHAR",
    "answers": "VARCHAR", "idempotency_id": "VARCHAR", "message": "VARCHAR", "context": "VARCHAR", "run_id": "VARCHAR",
    "created_at": "TIMESTAMP",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Intent:
    """One message to one provider.

    Attributes:
        intent_id: Made from content: what is sent, and the provider. The same on every repeat.
        purpose: Name of its ``engine.Purpose``.
        lane: The lane of its evidence.
        subject: What it is about.
        provider: The connector it goes through.
        message: What is sent; a repeat sends what was stored first.
        context: What its evidence holds besides, as JSON values.
        answers: ``session_id`` of the failed delivery that a retry answers.
        state: ``pending``, ``claimed``, ``done``, ``refused`` or ``skipped``.
        run_id: The run that claimed it last, or that wrote it.
        claim_count: How often it was claimed.
        outcome: How the last attempt ended; None before the first.
    """

    intent_id: str
    purpose: str
    lane: str
    subject: str
    provider: str
    message: Notification
    context: Mapping[str, Any] = field(default_factory=dict)
    answers: str | None = None
    state: str = "pending"
    run_id: str | None = None
    claim_count: int = 0
    outcome: DeliveryOutcome | None = None


def message_json(message: Notification) -> str:
    """Returns the message as it is stored."""
    return canonical_json({**asdict(message), "occurred_at": instant(message.occurred_at)})


def outcome_json(outcome: DeliveryOutcome) -> str:
    """Returns the outcome as it is noted and stored."""
    moments = {name: instant(getattr(outcome, name)) for name in _MOMENTS}
    return canonical_json({**asdict(outcome), **moments})


def outcome_of(text: str) -> DeliveryOutcome:
    """Reads a stored outcome."""
    fields = json.loads(text)
    for name in _MOMENTS:
        fields[name] = datetime.fromisoformat(fields[name]) if fields[name] else None
    return DeliveryOutcome(**{**fields, "grade": Grade(fields["grade"])})


_MOMENTS: Final = ("started_at", "completed_at", "retry_not_before")


def intent_of(row: Mapping[str, Any]) -> Intent:
    """Makes an intent from its row."""
    message = json.loads(row["message"])
    occurred_at = datetime.fromisoformat(message["occurred_at"]).astimezone(UTC)
    return Intent(
        intent_id=row["intent_id"],
        purpose=row["purpose"],
        lane=row["lane"],
        subject=row["subject"],
        provider=row["provider"],
        message=Notification(**{**message, "occurred_at": occurred_at}),
        context=json.loads(row["context"]),
        answers=row["answers"],
        state=row["state"],
        run_id=row["run_id"],
        claim_count=row["claim_count"],
        outcome=outcome_of(row["outcome"]) if row["outcome"] else None,
    )


def write_intents(session: Session, intents: Iterable[Intent], *, now: datetime) -> None:
    """Stores those intents, inside the open transaction, that are not stored yet; the others stay as they are."""
    at = naive_utc(now)
    rows = [
        (
            one.intent_id, one.purpose, one.lane, one.subject, one.provider, one.answers, one.message.idempotency_id,
            message_json(one.message), canonical_json(one.context), one.run_id, at,
        )
        for one in intents
    ]  # fmt: skip
    if rows:
        with session.given(given_intents=Rows(_TYPES, rows)):
            session.run(PACKAGE, "insert_intents")
