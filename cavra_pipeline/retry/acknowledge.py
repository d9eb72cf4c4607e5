"""Acknowledgements: an operator says of a subject, for one provider, what is to become of it (contract section 2)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cavra_pipeline.connectors.providers import normalised
from cavra_pipeline.documents import naive_utc
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.boundary import actor_label
from cavra_pipeline.evidence.ingest import ingest, warehouse_of
from cavra_pipeline.evidence.own import commit_own_drop, record, write_own_drop
from cavra_pipeline.evidence.secrets import secrets_in
from cavra_pipeline.lanes import Lane
from cavra_pipeline.settings import Settings

#: States by lane kind: a delivery's, and a health alert's.
DELIVERY_STATES: Final = ("acknowledged", "accepted", "deferred", "escalated", "resolved", "dismissed")
ALERT_STATES: Final = ("acknowledged", "dismissed", "escalated", "resolved")
#: States that let a live retry go ahead.
CLEARING_STATES: Final = ("acknowledged", "accepted", "resolved")


def states_of(lane: Lane) -> tuple[str, ...]:
    """Returns the states an operator may give in this lane."""
    return DELIVERY_STATES if lane.live_needs_acknowledgement else ALERT_STATES


def acknowledge(
    settings: Settings, lane: Lane, *, subject: str, provider: str, state: str, by: str, now: datetime
) -> dict[str, Any]:
    """Records an acknowledgement as evidence; the next plan, worker run and health report see it.

    Args:
        settings: The home.
        lane: A lane that takes acknowledgements.
        subject: The plan or health report that is acknowledged.
        provider: The connector it is acknowledged for.
        state: One of ``states_of(lane)``.
        by: Actor label of the operator.
        now: When it is said; dated later than what was said before, also where a clock went back.

    Returns:
        The record that was written.

    Raises:
        UsageError: The lane takes none, or a value is not accepted; the message names it.
    """
    if lane.acknowledgement_kind is None:
        raise UsageError(
            "nothing is acknowledged in this lane",
            where=f"lane {lane.name}",
            remedy="Its live retries need an explicit request only",
        )
    if state not in states_of(lane):
        raise UsageError("there is no such state", where="state", remedy=f"Use one of {', '.join(states_of(lane))}")
    label = actor_label(by, where="by")
    for name, value in ((lane.subject_field, subject), ("provider", provider)):
        if not value.strip() or len(value) > 512 or not _is_text(value) or secrets_in(value):
            raise UsageError("the value is not accepted", where=name, remedy="Give the id as a report shows it")
    now = _later_than_the_last(settings, lane, subject, provider, now)
    stamp = now.isoformat()
    digest = hashlib.sha256("\n".join((lane.name, subject, provider, state, label, stamp)).encode()).hexdigest()[:24]
    written = record(
        lane.acknowledgement_kind,
        session_id=f"acknowledgement-{digest}",
        created_at=now,
        signer=label,
        acknowledgement_id=f"ack-{digest}",
        provider=provider,
        acknowledgement_state=state,
        **{lane.subject_field: subject},
    )
    drop = write_own_drop(settings, f"acknowledgement-{digest}", [written], now=now)
    with warehouse_of(settings).writing("record an acknowledgement") as session:
        commit_own_drop(session, drop, now=now)
    return written


def _is_text(value: str) -> bool:
    return "\x00" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _later_than_the_last(settings: Settings, lane: Lane, subject: str, provider: str, now: datetime) -> datetime:
    """The instant of a new acknowledgement: an operator's last word must be the newest."""
    key: dict[str, object] = {
        "lane": lane.name,
        "subject": subject,
        "provider": normalised(provider),
        "as_of": naive_utc(now),
    }
    ingest(settings, now=now)
    with warehouse_of(settings).reading() as session:
        newest_at = session.rows("cavra_pipeline.retry", "newest_acknowledgement_at", key)[0]["newest_at"]
    if not isinstance(newest_at, datetime):
        return now
    return max(now, newest_at.replace(tzinfo=UTC) + timedelta(microseconds=1))
