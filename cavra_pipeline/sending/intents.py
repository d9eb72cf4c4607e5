"""Intents: what is to be sent to whom, stored before the send; rows of ``send_intents`` to objects and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.connectors import DeliveryOutcome, Grade, Notification
from cavra_pipeline.documents import instant
from cavra_pipeline.state.tables import send_intents

#: States of an intent. One that is answered has its outcome, whose evidence is not recorded yet.
PENDING, CLAIMED, ANSWERED = "pending", "claimed", "answered"
DONE, REFUSED, SKIPPED = "done", "refused", "skipped"
#: States of an intent whose outcome is not settled.
UNSETTLED: Final = (PENDING, CLAIMED, ANSWERED)


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
        state: ``pending``, ``claimed``, ``answered``, ``done``, ``refused`` or ``skipped``.
        run_id: The run that claimed it last, or that stored it.
        claim_count: How often it was claimed.
        outcome: How the last attempt ended; None before the first.
        due_at: When the next attempt may be made, if somebody said so.
        completed_at: When the last attempt was settled.
    """

    intent_id: str
    purpose: str
    lane: str
    subject: str
    provider: str
    message: Notification
    context: Mapping[str, Any] = field(default_factory=dict)
    answers: str | None = None
    state: str = PENDING
    run_id: str | None = None
    claim_count: int = 0
    outcome: DeliveryOutcome | None = None
    due_at: datetime | None = None
    completed_at: datetime | None = None


_MOMENTS: Final = ("started_at", "completed_at", "retry_not_before")


def message_document(message: Notification) -> dict[str, Any]:
    """Returns the message as JSON values."""
    return {**asdict(message), "occurred_at": instant(message.occurred_at)}


def outcome_document(outcome: DeliveryOutcome | None) -> dict[str, Any] | None:
    """Returns the outcome as JSON values, or None."""
    if outcome is None:
        return None
    return {**asdict(outcome), **{name: instant(getattr(outcome, name)) for name in _MOMENTS}}


def _outcome(document: Mapping[str, Any]) -> DeliveryOutcome:
    moments = {name: datetime.fromisoformat(at) if (at := document[name]) else None for name in _MOMENTS}
    return DeliveryOutcome(**{**document, **moments, "grade": Grade(document["grade"])})


def intent_of(row: sa.RowMapping) -> Intent:
    """Returns the intent of a row."""
    message = row["message"]
    occurred_at = datetime.fromisoformat(message["occurred_at"]).astimezone(UTC)
    values = {name: row[name] for name in Intent.__slots__}
    values |= {
        "message": Notification(**{**message, "occurred_at": occurred_at}),
        "outcome": _outcome(row["outcome"]) if row["outcome"] else None,
    }
    return Intent(**values)


def intents_where(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Intent]:
    """Returns the intents that meet the conditions, the oldest first."""
    c = send_intents.c
    rows = connection.execute(sa.select(send_intents).where(*conditions).order_by(c.created_at, c.intent_id))
    return list(map(intent_of, rows.mappings()))


def write_intents(connection: sa.Connection, intents: Iterable[Intent], *, now: datetime) -> None:
    """Stores those intents, inside the open transaction, that are not stored yet; the others stay as they are."""
    intent_by_id = {intent.intent_id: intent for intent in intents}
    stored = sa.select(send_intents.c.intent_id).where(send_intents.c.intent_id.in_(intent_by_id))
    stored_ids = set(connection.scalars(stored))
    rows = [
        {
            **{name: getattr(intent, name) for name in _STORED},
            "idempotency_id": intent.message.idempotency_id,
            "message": message_document(intent.message),
            "context": dict(intent.context),
            "state": PENDING,
            "claim_count": 0,
            "created_at": now,
        }
        for intent_id, intent in intent_by_id.items()
        if intent_id not in stored_ids
    ]
    if rows:
        connection.execute(sa.insert(send_intents), rows)


_STORED: Final = ("intent_id", "purpose", "lane", "subject", "provider", "answers", "run_id")
