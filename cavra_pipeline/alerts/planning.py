"""Decides which notification of a group is due at one connector: first, more, reminder, resolved. Pure, no clock.

The rules are those that Alertmanager documents for groups, with a window that counts from the last notification;
docs/alerts-sending.md has their sources and differences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from cavra_pipeline.alerts.kinds import KINDS
from cavra_pipeline.alerts.model import Alert, AlertState
from cavra_pipeline.alerts.signals import SEVERITIES, Severity
from cavra_pipeline.settings import AlertPolicy


class Notice(StrEnum):
    """Type of a notification."""

    FIRING = "firing"
    MORE = "more"
    REMINDER = "reminder"
    RESOLVED = "resolved"


class Believed(NamedTuple):
    """A connector's newest notification of one subject: its episode, severity, and counts of suppressed and of all."""

    alert_id: str
    severity: Severity
    swallowed_count: int
    occurrence_count: int = 0


@dataclass(frozen=True, slots=True)
class LastNotice:
    """Content of the last notification of a group that a connector accepted.

    Attributes:
        at: When it was taken: the suppression window counts from here.
        planned_at: When it was written: it says nothing of what came later.
        began_at: When the first alert opened of those notified since the group was last resolved.
        firing: What it believes to be wrong, by subject.
    """

    at: datetime
    planned_at: datetime
    began_at: datetime
    firing: Mapping[str, Believed] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, Any], *, at: datetime, planned_at: datetime) -> LastNotice:
        """Makes it from what the outbox stores of it (``stored``) and of its sending."""
        firing = {subject: Believed(*believed) for subject, believed in stored["firing"].items()}
        return cls(at, planned_at, datetime.fromisoformat(stored["began_at"]), firing)

    def stored(self) -> dict[str, Any]:
        """Returns what the outbox stores of it."""
        return {"began_at": self.began_at.isoformat(), "firing": self.firing}


@dataclass(frozen=True, slots=True)
class Planned:
    """A notification that is to go out.

    Attributes:
        notice: Its type.
        firing: Alerts that are open, in order of their beginning.
        over: Alerts that ended and whose resolution has not been sent.
        told: What the connector knows once it has accepted it.
        swallowed_count: Occurrences within the suppression window, of which no notification was sent.
    """

    notice: Notice
    firing: Sequence[Alert]
    over: Sequence[Alert]
    told: LastNotice
    swallowed_count: int

    @property
    def mentioned(self) -> Sequence[Alert]:
        """Every alert that it is about."""
        return (*self.firing, *self.over)


def plan(
    alerts: Sequence[Alert], told: LastNotice | None, policy: AlertPolicy, now: datetime
) -> Planned | datetime | None:
    """Decides about one group and one connector that has no notification under way.

    Args:
        alerts: The group's alerts that are open, and those that were opened since ``told.began_at``.
        told: What the connector accepted last; None if nothing yet.
        policy: How long things wait.
        now: The instant.

    Returns:
        The notification that is due, or else the instant at which one would be if nothing changes, or None.
    """
    alerts = sorted(alerts, key=lambda one: (one.opened_at, one.alert_id))
    firing = [one for one in alerts if one.is_open and not one.muted_by]
    news = [one for one in firing if one.state is AlertState.FIRING and _is_news(one, told)]
    if told is None or not told.firing:
        return _first(firing, news, policy, now)
    over = [one for one in alerts if not one.is_open and not one.muted_by and _is_untold_end(one, alerts, told)]
    is_open = {one.subject for one in alerts if one.is_open}
    is_told_over = any(one.subject in told.firing and one.subject not in is_open for one in over)
    if is_told_over and not firing and is_open.isdisjoint(told.firing):
        return _planned(Notice.RESOLVED, alerts, firing, over, told, now)
    if news or is_told_over:
        ends_at = told.at + policy.window
        return _planned(Notice.MORE, alerts, firing, over, told, now) if now >= ends_at else ends_at
    unattended = [one for one in firing if one.state is AlertState.FIRING]
    if not unattended:
        return None
    repeats_at = told.at + policy.repeat
    return _planned(Notice.REMINDER, alerts, unattended, over, told, now) if now >= repeats_at else repeats_at


def _first(firing: list[Alert], news: list[Alert], policy: AlertPolicy, now: datetime) -> Planned | datetime | None:
    if not news:
        return None
    due_at = min(one.opened_at for one in news) + policy.group_wait
    if now < due_at:
        return due_at
    return _planned(Notice.FIRING, firing, firing, [], None, now)


def _is_news(alert: Alert, told: LastNotice | None) -> bool:
    known = told.firing.get(alert.subject) if told else None
    if (
        known
        and KINDS[alert.kind].ends_by_hand
        and (alert.alert_id != known.alert_id or alert.occurrence_count > known.occurrence_count)
    ):
        return True
    return known is None or SEVERITIES.index(alert.severity) > SEVERITIES.index(known.severity)


def _is_untold_end(alert: Alert, alerts: Sequence[Alert], told: LastNotice) -> bool:
    """Ended since the last notification, or before it while it was muted and is believed to be open."""
    is_newest = all(one.episode <= alert.episode for one in alerts if one.subject == alert.subject)
    ended_since = alert.resolved_at is not None and alert.resolved_at > told.planned_at
    return ended_since or (is_newest and alert.subject in told.firing)


def _planned(
    notice: Notice,
    alerts: Sequence[Alert],
    firing: Sequence[Alert],
    over: Sequence[Alert],
    told: LastNotice | None,
    now: datetime,
) -> Planned:
    known = dict(told.firing) if told else {}
    mentioned = (*firing, *over)
    baseline = {believed.alert_id: believed.swallowed_count for believed in known.values()}
    swallowed = sum(one.swallowed_count - baseline.get(one.alert_id, 0) for one in mentioned)
    # Removes subjects whose end was sent; keeps muted and acknowledged ones until their end is sent.
    ended = {one.subject for one in over}
    believed = {one.subject: known[one.subject] for one in alerts if one.subject in known and one.subject not in ended}
    believed |= {one.subject: known[one.subject] for one in alerts if one.is_open and one.subject in known}
    believed |= {
        one.subject: Believed(one.alert_id, one.severity, one.swallowed_count, one.occurrence_count) for one in firing
    }
    began_at = min((one.opened_at for one in mentioned), default=now)
    return Planned(
        notice=notice,
        firing=firing,
        over=over,
        told=LastNotice(
            at=now,
            planned_at=now,
            began_at=min(began_at, told.began_at) if told and told.firing else began_at,
            firing=believed,
        ),
        swallowed_count=swallowed,
    )
