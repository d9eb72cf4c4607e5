"""Alerts, their history, silences and notifications in the state database: statements and rows, no rule.

Each function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.alerts.kinds import FLAPPING, KINDS
from cavra_pipeline.alerts.model import Alert, AlertState
from cavra_pipeline.alerts.muting import Changes, Silence
from cavra_pipeline.alerts.planning import LastNotice
from cavra_pipeline.sending.intents import DONE, REFUSED
from cavra_pipeline.state import tables as t

#: What a notification's state is called, by the state of its intent; any other is pending.
_STATES: Final = {DONE: "sent", REFUSED: "failed"}
_OPEN: Final = t.alerts.c.state != AlertState.RESOLVED.value


@dataclass(frozen=True, slots=True)
class Head:
    """The newest notification of one group to one connector.

    Attributes:
        notice_id: Its id.
        notice_number: Counts the notifications of the group to the connector, from 1.
        notice: Its type.
        state: ``pending``, ``sent`` or ``failed``.
        settled_at: When it was sent or given up.
        created_at: When it was written.
        next_attempt_at: When it is due.
        attempt_count: How often it was tried.
        reason: Why the latest attempt failed.
        status_code: HTTP status of the latest attempt.
        last_notice: Content of the newest one that was sent; None if none was.
    """

    notice_id: str
    notice_number: int
    notice: str
    state: str
    settled_at: datetime | None
    created_at: datetime
    next_attempt_at: datetime
    attempt_count: int
    reason: str | None
    status_code: int | None
    last_notice: LastNotice | None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to an episode."""

    alert_id: str
    event: str
    happened_at: datetime
    detail: str | None = None
    actor: str | None = None


def alerts(c: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Alert]:
    """Returns the alerts that meet every condition, the oldest first."""
    query = sa.select(t.alerts).where(*conditions).order_by(t.alerts.c.opened_at, t.alerts.c.alert_id)
    return [Alert(**{**row, "state": AlertState(row["state"])}) for row in c.execute(query).mappings()]


def open_alerts(c: sa.Connection) -> list[Alert]:
    """Returns the alerts that are not resolved."""
    return alerts(c, _OPEN)


def alerts_of_observation(c: sa.Connection, began_at: datetime | None) -> list[Alert]:
    """Returns open alerts, those opened since ``began_at``, and what may explain an open one.

    Alerts of kinds that this release does not declare are left alone.
    """
    inhibitors = {inhibitor.kind for kind in KINDS.values() for inhibitor in kind.inhibited_by}
    oldest = sa.select(sa.func.min(t.alerts.c.since)).where(_OPEN).scalar_subquery()
    explains = t.alerts.c.kind.in_(sorted(inhibitors)) & (t.alerts.c.resolved_at >= oldest)
    wanted = _OPEN | explains if began_at is None else _OPEN | explains | (t.alerts.c.opened_at >= began_at)
    return [alert for alert in alerts(c, wanted) if alert.kind in KINDS]


def newest_episodes(c: sa.Connection, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Returns the number of the newest episode of each kind and subject that has had one."""
    if not keys:
        return {}
    a = t.alerts.c
    query = (
        sa.select(a.kind, a.subject, sa.func.max(a.episode))
        .where(a.kind.in_({kind for kind, _ in keys}), a.subject.in_({subject for _, subject in keys}))
        .group_by(a.kind, a.subject)
    )
    return {(kind, subject): episode for kind, subject, episode in c.execute(query)}


def save(
    c: sa.Connection, *, new: Sequence[Alert] = (), changed: Sequence[Alert] = (), events: Sequence[Event] = ()
) -> None:
    """Writes alerts and events."""
    if new:
        c.execute(sa.insert(t.alerts), [_row(alert) for alert in new])
    if changed:
        columns: dict[str, Any] = {
            column.name: sa.bindparam(column.name) for column in t.alerts.c if not column.primary_key
        }
        statement = sa.update(t.alerts).where(t.alerts.c.alert_id == sa.bindparam("changed_id")).values(columns)
        c.execute(statement, [{**_row(alert), "changed_id": alert.alert_id} for alert in changed])
    if events:
        c.execute(sa.insert(t.alert_events), [asdict(event) for event in events])


def _row(alert: Alert) -> dict[str, Any]:
    return {**asdict(alert), "state": alert.state.value}


def changes_since(
    c: sa.Connection, after: datetime, *, least: int, flapping: Collection[tuple[str, str]]
) -> list[Changes]:
    """Returns the alerts that began or ended at least ``least`` times since then; of those that are flapping, all."""
    a, e = t.alerts.c, t.alert_events.c
    query = (
        sa.select(a.kind, a.subject, sa.func.count(), sa.func.min(e.happened_at))
        .select_from(t.alerts.join(t.alert_events, a.alert_id == e.alert_id))
        .where(e.event.in_(("opened", "resolved")), e.happened_at > after, a.kind != FLAPPING)
        .group_by(a.kind, a.subject)
        .order_by(a.kind, a.subject)
    )
    changes = [Changes(*row) for row in c.execute(query) if row.kind in KINDS]
    return [change for change in changes if change.count >= least or (change.kind, change.subject) in flapping]


def silences(c: sa.Connection, now: datetime) -> list[Silence]:
    """Returns the silences that have not ended."""
    columns = [t.alert_silences.c[field.name] for field in fields(Silence)]
    query = sa.select(*columns).where(t.alert_silences.c.ends_at > now).order_by("starts_at", "silence_id")
    return [Silence(**row) for row in c.execute(query).mappings()]


def heads(c: sa.Connection, providers: Collection[str]) -> dict[tuple[str, str], Head]:
    """Returns the newest notification by group and connector."""
    o, i = t.alert_outbox.c, t.send_intents.c
    every = t.alert_outbox.join(t.send_intents, o.notice_id == i.intent_id)
    newest = (
        sa.select(
            o.group_name,
            o.provider,
            sa.func.max(o.notice_number).label("newest"),
            sa.func.max(sa.case((i.state == DONE, o.notice_number))).label("newest_sent"),
        )
        .select_from(every)
        .where(o.provider.in_(providers))
        .group_by(o.group_name, o.provider)
        .subquery()
    )
    n = newest.c
    query = (
        sa.select(t.alert_outbox, i.state, i.completed_at, i.due_at, i.claim_count, i.reason, i.status_code)
        .select_from(every.join(newest, (o.group_name == n.group_name) & (o.provider == n.provider)))
        .where((o.notice_number == n.newest) | (o.notice_number == n.newest_sent))
        .order_by(o.notice_number)
    )
    last_notices: dict[tuple[str, str], LastNotice] = {}
    answer: dict[tuple[str, str], Head] = {}
    # The newest comes last: it replaces the one that was sent before it.
    for row in c.execute(query).mappings():
        key, state = (row["group_name"], row["provider"]), _STATES.get(row["state"], "pending")
        if state == "sent":
            last_notices[key] = LastNotice.of(row["told"], at=row["completed_at"], planned_at=row["created_at"])
        answer[key] = Head(
            notice_id=row["notice_id"],
            notice_number=row["notice_number"],
            notice=row["notice"],
            state=state,
            settled_at=row["completed_at"] if state != "pending" else None,
            created_at=row["created_at"],
            next_attempt_at=row["due_at"] or row["created_at"],
            attempt_count=row["claim_count"],
            reason=row["reason"],
            status_code=row["status_code"],
            last_notice=last_notices.get(key),
        )
    return answer


def plans_sent(c: sa.Connection, alert: Alert) -> dict[str, str]:
    """Returns the connectors that took a notification of the alert, each with the newest plan that chose it."""
    o, i = t.alert_outbox.c, t.send_intents.c
    query = (
        sa.select(o.provider, o.plan_id, o.alert_ids)
        .select_from(t.alert_outbox.join(t.send_intents, o.notice_id == i.intent_id))
        .where(o.group_name == alert.group, i.state == DONE)
        .order_by(o.notice_number)
    )
    plans = {row.provider: row.plan_id for row in c.execute(query) if alert.alert_id in row.alert_ids}
    return dict(sorted(plans.items()))


def unrecorded_notices(c: sa.Connection) -> Sequence[sa.RowMapping]:
    """Returns the notifications whose plan is not evidence yet, in the order of their writing."""
    o = t.alert_outbox.c
    query = sa.select(t.alert_outbox).where(sa.not_(o.is_recorded)).order_by(o.created_at, o.plan_id, o.provider)
    return c.execute(query).mappings().all()


def mark_recorded(c: sa.Connection, plan_ids: Iterable[str]) -> None:
    """Notes that these plans are evidence."""
    c.execute(sa.update(t.alert_outbox).where(t.alert_outbox.c.plan_id.in_(list(plan_ids))).values(is_recorded=True))
