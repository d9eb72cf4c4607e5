"""The outbox: what is due is claimed, sent and settled, one notice after another. No transaction is open meanwhile.

At least once: whoever dies between claim and settlement leaves a notice that is sent again under the same id.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cavra_pipeline.alerts.store import PACKAGE, Event, aware, save
from cavra_pipeline.connectors import DeliveryOutcome, Grade, Notification
from cavra_pipeline.documents import naive_utc
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.ingest import warehouse_of
from cavra_pipeline.retry.worker import Sender
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session

#: For how long a claimed notice is its sender's; longer than one attempt can take.
CLAIM: Final = timedelta(minutes=2)
BACKOFF_BASE: Final = timedelta(seconds=30)
BACKOFF_CAP: Final = timedelta(minutes=15)
#: No send is begun after this; with one attempt's own limits a pass stays within a sensor's minute.
BUDGET_SECONDS: Final = 20.0

_SENT, _PENDING, _FAILED = "sent", "pending", "failed"


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
    defects: list[str] = []
    settled: tuple[dict[str, Any], DeliveryOutcome] | None = None
    while True:
        with warehouse_of(settings).writing("send notices of alerts") as session:
            if settled:
                _settle(session, *settled, now=clock())
            notice = _claim_next(session, settings, clock()) if monotonic() < ends_at else None
        if notice is None:
            break
        outcome = _send(sender, notice, clock, defects)
        settled = (notice, outcome)
        sent, unsent = sent + outcome.success, unsent + (not outcome.success)
    if defects:
        raise PipelineError(
            f"a connector raised {', '.join(sorted(set(defects)))}",
            where="notices of alerts",
            remedy="Report this as a defect; the notices are kept and sent again",
        )
    return Delivered(sent, unsent)


def _claim_next(session: Session, settings: Settings, now: datetime) -> dict[str, Any] | None:
    asked: dict[str, object] = {
        "now": naive_utc(now),
        "again_at": naive_utc(now + CLAIM),
        "providers": list(settings.alerts.connectors),
    }
    claimed = session.rows(PACKAGE, "claim_notice", asked)
    return claimed[0] if claimed else None


def _send(sender: Sender, notice: dict[str, Any], clock: Callable[[], datetime], defects: list[str]) -> DeliveryOutcome:
    provider, started_at = notice["provider"], clock()
    if not sender.has(provider):
        return DeliveryOutcome(provider, Grade.FAILED, None, 0, started_at, started_at, None, "no_connector")
    try:
        return sender.send(provider, notification_of(notice))
    except Exception as error:  # noqa: BLE001 -- whatever it is, nobody knows what became of the message
        defects.append(type(error).__name__)
        return DeliveryOutcome(provider, Grade.AMBIGUOUS, None, 1, started_at, clock(), None, "connector_defect")


def notification_of(notice: dict[str, Any]) -> Notification:
    """Makes the message of a notice: what is in the outbox and nothing else, so every attempt is the same."""
    content = json.loads(notice["document"])
    return Notification(
        idempotency_id=notice["notice_id"],
        event_type=f"cavra.alert.{notice['notice']}",
        title=content["title"],
        summary=content["summary"],
        severity=content["severity"],
        subject=content["subject"],
        occurred_at=datetime.fromisoformat(content["occurred_at"]),
        facts=content["facts"],
    )


def _settle(session: Session, notice: dict[str, Any], outcome: DeliveryOutcome, *, now: datetime) -> None:
    state = _SENT if outcome.success else _PENDING if outcome.transient else _FAILED
    backoff = min(BACKOFF_BASE * 2 ** min(notice["attempt_count"] - 1, 10), BACKOFF_CAP)
    again_at = max(now + backoff, outcome.retry_not_before or now)
    settled = session.rows(
        PACKAGE,
        "settle_notice",
        {
            "notice_id": notice["notice_id"],
            "state": state,
            "status_code": outcome.status_code,
            "reason": outcome.reason,
            "next_attempt_at": naive_utc(again_at) if state == _PENDING else None,
            "settled_at": naive_utc(now) if state != _PENDING else None,
        },
    )
    if not settled or state != _SENT:
        return
    alert_ids = json.loads(notice["document"])["alert_ids"]
    session.run(PACKAGE, "mark_notified", {"now": naive_utc(now), "alert_ids": alert_ids})
    detail = f"{notice['notice']} by {notice['provider']}"
    save(session, new=[], changed=[], events=[Event(one, "notified", now, detail) for one in alert_ids])


def next_attempt_at(session: Session, settings: Settings) -> datetime | None:
    """Returns when the next notice is due; None if none is waiting."""
    row = session.rows(PACKAGE, "next_attempt_at", {"providers": list(settings.alerts.connectors)})[0]
    return aware(row["next_attempt_at"]) if row["next_attempt_at"] else None
