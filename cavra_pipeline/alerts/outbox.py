"""Notifications through the engine: which are due, what is sent, when a failed one is retried, what follows from it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.alerts.store import Event, save
from cavra_pipeline.connectors import DeliveryOutcome, Notification
from cavra_pipeline.sending.engine import Engine, Purpose, Sender, Settlement
from cavra_pipeline.sending.intents import DONE, PENDING, REFUSED, UNSETTLED, Intent, write_intents
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.state import tables as t

BACKOFF_BASE: Final = timedelta(seconds=30)
BACKOFF_CAP: Final = timedelta(minutes=15)
#: No send is begun after this; with one attempt's own limits a pass stays within a sensor's minute.
BUDGET_SECONDS: Final = 20.0


def deliver_due(
    settings: Settings,
    sender: Sender,
    *,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float] = time.monotonic,
) -> int:
    """Sends the notifications that are due, the longest due first, as far as the time for one pass reaches.

    Args:
        settings: The home, and the connectors that alerts go through.
        sender: The host's connectors.
        clock: Returns the current time.
        monotonic: Measures the pass.

    Returns:
        The number of attempts.

    Raises:
        TransientError: The state database stayed busy; what was sent and not settled is sent again under the same id.
        PipelineError: A connector of ours is defective; the others went on.
    """
    ends_at = monotonic() + BUDGET_SECONDS
    attempts = 0
    engine = Engine(settings, NOTICES, clock)
    with engine.running(uuid.uuid4().hex, sender) as run:
        while monotonic() < ends_at:
            with state_of(settings).writing() as c:
                notice = run.claim_due(c, settings.alerts.connectors, now=clock())
            if notice is None:
                break
            engine.record(notice, run.attempt(notice))
            attempts += 1
    run.raise_defects()
    return attempts


def write_notices(
    c: sa.Connection, notices: Sequence[tuple[Mapping[str, Any], Notification]], *, now: datetime
) -> None:
    """Stores notifications: each is a row of ``alert_outbox`` and the message that every attempt sends."""
    if not notices:
        return
    c.execute(sa.insert(t.alert_outbox), [row for row, _ in notices])
    intents = [
        Intent(
            intent_id=row["notice_id"],
            purpose=NOTICES.name,
            lane=row["lane"],
            subject=row["group_name"],
            provider=row["provider"],
            message=message,
            context={"notice": row["notice"], "alert_ids": row["alert_ids"]},
        )
        for row, message in notices
    ]
    write_intents(c, intents, now=now)


def _settlement(notice: Intent, outcome: DeliveryOutcome | None, at: datetime) -> Settlement:
    if outcome and not outcome.transient:
        return Settlement(DONE if outcome.success else REFUSED)
    backoff = min(BACKOFF_BASE * 2 ** min(notice.claim_count - 1, 10), BACKOFF_CAP)
    floor = outcome.retry_not_before if outcome else None
    return Settlement(PENDING, max(at + backoff, floor or at))


def _mark_notified(c: sa.Connection, notice: Intent, outcome: DeliveryOutcome | None, at: datetime) -> None:
    if outcome is None or not outcome.success:
        return
    alert_ids = notice.context["alert_ids"]
    c.execute(sa.update(t.alerts).where(t.alerts.c.alert_id.in_(alert_ids)).values(last_notified_at=at))
    detail = f"{notice.context['notice']} by {notice.provider}"
    save(c, events=[Event(alert_id, "notified", at, detail) for alert_id in alert_ids])


#: Notifications are retried by themselves, and leave no evidence of their own.
NOTICES: Final = Purpose("notice", settlement=_settlement, follow_up=_mark_notified)


def next_attempt_at(c: sa.Connection, settings: Settings) -> datetime | None:
    """Returns when the next notification is due; None if none is waiting."""
    i = t.send_intents.c
    # A notification whose run died while it sent is due at once.
    due_at = sa.case((i.state == PENDING, sa.func.coalesce(i.due_at, i.created_at)), else_=i.claimed_at)
    query = sa.select(sa.func.min(due_at, type_=i.created_at.type)).where(
        i.purpose == NOTICES.name, i.state.in_(UNSETTLED), i.provider.in_(settings.alerts.connectors)
    )
    return c.execute(query).scalar()
