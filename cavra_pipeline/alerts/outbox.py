"""Notices through the engine: which are due, what is sent, when a failed one is tried again, what follows from it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cavra_pipeline.alerts.store import PACKAGE, Event, Written, aware, save
from cavra_pipeline.connectors import DeliveryOutcome, Notification
from cavra_pipeline.documents import naive_utc
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.sending.engine import DONE, PENDING, REFUSED, Engine, Purpose, Sender, Verdict
from cavra_pipeline.sending.intents import Intent, write_intents
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session

BACKOFF_BASE: Final = timedelta(seconds=30)
BACKOFF_CAP: Final = timedelta(minutes=15)
#: No send is begun after this; with one attempt's own limits a pass stays within a sensor's minute.
BUDGET_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of the due notices.

    Attributes:
        sent_count: Notices that a connector took.
        unsent_count: Notices that were tried, and will be again or were refused for good.
    """

    sent_count: int = 0
    unsent_count: int = 0


def deliver_due(
    settings: Settings,
    sender: Sender,
    *,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float] = time.monotonic,
) -> Delivered:
    """Sends the notices that are due, the longest due first, as far as the time for one pass reaches.

    Args:
        settings: The home, and the connectors that alerts go through.
        sender: The host's connectors.
        clock: Tells the time.
        monotonic: Measures the pass.

    Raises:
        TransientError: The warehouse stayed busy; what was sent and not settled is sent again under the same id.
        PipelineError: A connector of ours is defective; the others went on.
    """
    ends_at = monotonic() + BUDGET_SECONDS
    sent = unsent = 0
    engine = Engine(settings, NOTICES, clock)
    settled: tuple[Intent, DeliveryOutcome | None] | None = None
    with engine.running(uuid.uuid4().hex, sender) as run:
        while True:
            with warehouse_of(settings).writing("send notices of alerts") as session:
                if settled:
                    engine.settle(session, *settled, at=clock())
                is_time_left = monotonic() < ends_at
                notice = run.claim_due(session, settings.alerts.connectors, now=clock()) if is_time_left else None
            if notice is None:
                break
            outcome = run.attempt(notice)
            settled = (notice, outcome)
            is_sent = outcome is not None and outcome.success
            sent, unsent = sent + is_sent, unsent + (not is_sent)
    run.raise_defects()
    return Delivered(sent, unsent)


def write_notice_intents(session: Session, notices: Sequence[Written], *, now: datetime) -> None:
    """Stores what is sent for each notice, in the transaction that plans them: every attempt sends the same."""
    intents = [
        Intent(
            intent_id=one.notice_id,
            purpose=NOTICES.name,
            lane=one.lane,
            subject=one.document["subject"],
            provider=one.provider,
            message=_notification(one),
            context={"notice": one.planned.notice.value, "alert_ids": one.document["alert_ids"]},
        )
        for one in notices
    ]
    write_intents(session, intents, now=now)


def _notification(notice: Written) -> Notification:
    content = notice.document
    return Notification(
        idempotency_id=notice.notice_id,
        event_type=f"cavra.alert.{notice.planned.notice.value}",
        title=content["title"],
        summary=content["summary"],
        severity=content["severity"],
        subject=content["subject"],
        occurred_at=datetime.fromisoformat(content["occurred_at"]),
        facts=content["facts"],
    )


def _verdict(notice: Intent, outcome: DeliveryOutcome | None, at: datetime) -> Verdict:
    if outcome and not outcome.transient:
        return Verdict(DONE if outcome.success else REFUSED)
    backoff = min(BACKOFF_BASE * 2 ** min(notice.claim_count - 1, 10), BACKOFF_CAP)
    floor = outcome.retry_not_before if outcome else None
    return Verdict(PENDING, max(at + backoff, floor or at))


def _mark_notified(session: Session, notice: Intent, outcome: DeliveryOutcome | None, at: datetime) -> None:
    if outcome is None or not outcome.success:
        return
    alert_ids = notice.context["alert_ids"]
    session.run(PACKAGE, "mark_notified", {"now": naive_utc(at), "alert_ids": alert_ids})
    detail = f"{notice.context['notice']} by {notice.provider}"
    save(session, new=[], changed=[], events=[Event(one, "notified", at, detail) for one in alert_ids])


#: Notices are tried again by themselves, and leave no evidence of their own.
NOTICES: Final = Purpose("notice", verdict=_verdict, follow_up=_mark_notified)


def next_attempt_at(session: Session, settings: Settings) -> datetime | None:
    """Returns when the next notice is due; None if none is waiting."""
    asked: dict[str, object] = {"purpose": NOTICES.name, "providers": list(settings.alerts.connectors)}
    row = session.rows(PACKAGE, "next_attempt_at", asked)[0]
    return aware(row["next_attempt_at"]) if row["next_attempt_at"] else None
