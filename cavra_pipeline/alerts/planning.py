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
        last_notice: What the connector believes once it has accepted the notification.
        swallowed_count: Occurrences within the suppression window, of which no notification was sent.
    """

    notice: Notice
    firing: Sequence[Alert]
    over: Sequence[Alert]
    last_notice: LastNotice
    swallowed_count: int

    @property
    def mentioned(self) -> Sequence[Alert]:
        """Every alert that it is about."""
        return (*self.firing, *self.over)


def plan(
    alerts: Sequence[Alert], last_notice: LastNotice | None, policy: AlertPolicy, now: datetime
) -> Planned | datetime | None:
    """Decides about one group and one connector that has no notification under way.

    Args:
        alerts: The group's alerts that are open, and those that were opened since ``last_notice.began_at``.
        last_notice: What the connector accepted last; None if nothing yet.
        policy: How long things wait.
        now: The instant.

    Returns:
        The notification that is due, or else the instant at which one would be if nothing changes, or None.
    """
    alerts = sorted(alerts, key=lambda alert: (alert.opened_at, alert.alert_id))
    firing = [alert for alert in alerts if alert.is_open and not alert.muted_by]
    news = [alert for alert in firing if alert.state is AlertState.FIRING and _is_news(alert, last_notice)]
    if last_notice is None or not last_notice.firing:
        return _first(firing, news, policy, now)
    over = [
        alert
        for alert in alerts
        if not alert.is_open and not alert.muted_by and _is_unnotified_end(alert, alerts, last_notice)
    ]
    is_open = {alert.subject for alert in alerts if alert.is_open}
    is_notified_resolved = any(alert.subject in last_notice.firing and alert.subject not in is_open for alert in over)
    if is_notified_resolved and not firing and is_open.isdisjoint(last_notice.firing):
        return _planned(Notice.RESOLVED, alerts, firing, over, last_notice, now)
    if news or is_notified_resolved:
        ends_at = last_notice.at + policy.window
        return _planned(Notice.MORE, alerts, firing, over, last_notice, now) if now >= ends_at else ends_at
    unattended = [alert for alert in firing if alert.state is AlertState.FIRING]
    if not unattended:
        return None
    repeats_at = last_notice.at + policy.repeat
    return _planned(Notice.REMINDER, alerts, unattended, over, last_notice, now) if now >= repeats_at else repeats_at


def _first(firing: list[Alert], news: list[Alert], policy: AlertPolicy, now: datetime) -> Planned | datetime | None:
    if not news:
        return None
    due_at = min(alert.opened_at for alert in news) + policy.group_wait
    if now < due_at:
        return due_at
    return _planned(Notice.FIRING, firing, firing, [], None, now)


def _is_news(alert: Alert, last_notice: LastNotice | None) -> bool:
    believed = last_notice.firing.get(alert.subject) if last_notice else None
    if (
        believed
        and KINDS[alert.kind].ends_by_hand
        and (alert.alert_id != believed.alert_id or alert.occurrence_count > believed.occurrence_count)
    ):
        return True
    return believed is None or SEVERITIES.index(alert.severity) > SEVERITIES.index(believed.severity)


def _is_unnotified_end(alert: Alert, alerts: Sequence[Alert], last_notice: LastNotice) -> bool:
    """Ended since the last notification, or before it while it was muted and is believed to be open."""
    is_newest = all(other.episode <= alert.episode for other in alerts if other.subject == alert.subject)
    ended_since = alert.resolved_at is not None and alert.resolved_at > last_notice.planned_at
    return ended_since or (is_newest and alert.subject in last_notice.firing)


def _planned(
    notice: Notice,
    alerts: Sequence[Alert],
    firing: Sequence[Alert],
    over: Sequence[Alert],
    last_notice: LastNotice | None,
    now: datetime,
) -> Planned:
    notified = dict(last_notice.firing) if last_notice else {}
    mentioned = (*firing, *over)
    baseline = {believed.alert_id: believed.swallowed_count for believed in notified.values()}
    swallowed = sum(alert.swallowed_count - baseline.get(alert.alert_id, 0) for alert in mentioned)
    # Removes subjects whose end was sent; keeps muted and acknowledged ones until their end is sent.
    ended = {alert.subject for alert in over}
    believed = {
        alert.subject: notified[alert.subject]
        for alert in alerts
        if alert.subject in notified and alert.subject not in ended
    }
    believed |= {
        alert.subject: notified[alert.subject] for alert in alerts if alert.is_open and alert.subject in notified
    }
    believed |= {
        alert.subject: Believed(alert.alert_id, alert.severity, alert.swallowed_count, alert.occurrence_count)
        for alert in firing
    }
    began_at = min((alert.opened_at for alert in mentioned), default=now)
    return Planned(
        notice=notice,
        firing=firing,
        over=over,
        last_notice=LastNotice(
            at=now,
            planned_at=now,
            began_at=min(began_at, last_notice.began_at) if last_notice and last_notice.firing else began_at,
            firing=believed,
        ),
        swallowed_count=swallowed,
    )
