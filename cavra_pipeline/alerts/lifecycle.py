"""One observation of a sensor becomes episodes that begin, change and end, and notifications in the outbox.

All of it is one state transaction. Nothing is sent here: what is to be sent is stored with the change it reports.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.alerts.kinds import FLAPPING, KINDS, UNDELIVERED
from cavra_pipeline.alerts.model import Alert, Condition, conditions, opened, resolved, seen_again
from cavra_pipeline.alerts.muting import EXPLANATION_WAIT, Silence, flapping_signals, muted_by, target
from cavra_pipeline.alerts.outbox import write_notices
from cavra_pipeline.alerts.planning import LastNotice, Planned, plan
from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.alerts.store import (
    Event,
    Head,
    alerts_of_observation,
    changes_since,
    heads,
    newest_episodes,
    save,
    silences,
)
from cavra_pipeline.alerts.wording import notification
from cavra_pipeline.connectors import Notification
from cavra_pipeline.documents import digest_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import DEFAULT_POLICY, AlertPolicy

_ALERT_LANES: Final = tuple(lane for lane in LANES.values() if lane.alerts_of)
#: Why an alert is resolved whose subject there is no more.
NO_LONGER_WATCHED: Final = "no longer watched"
#: A notification counts as stuck after this many attempts.
_ATTEMPTS_IN_VAIN: Final = 3


def observe(
    c: sa.Connection, observation: Observation, *, now: datetime, policy: AlertPolicy = DEFAULT_POLICY
) -> datetime | None:
    """Processes one observation inside the open transaction: changes alerts and puts notifications into the outbox.

    Args:
        c: The state database, open for writing.
        observation: What is wrong now.
        now: When this is.
        policy: How alerts are notified.

    Returns:
        When something would be due if nothing changes; None if nothing is waiting.

    Raises:
        ValueError: A signal is of a kind that was not evaluated, or a kind is not declared.
    """
    kinds, problems = set(observation.kinds), conditions(observation.signals)
    strange = {*kinds, *(kind for kind, _ in problems)} - KINDS.keys()
    if strange or not {kind for kind, _ in problems} <= kinds:
        raise ValueError("signals: give only declared kinds, and only those that were evaluated")
    newest_notices = heads(c, policy.connectors)
    began = [
        head.last_notice.began_at for head in newest_notices.values() if head.last_notice and head.last_notice.firing
    ]
    episodes = _Episodes(
        c, now, {alert.alert_id: alert for alert in alerts_of_observation(c, min(began, default=None))}
    )
    episodes.update(kinds, problems, observation.watched)
    episodes.update({UNDELIVERED}, conditions(undelivered_signals(newest_notices, now, policy.window)))
    _update_flapping(episodes, policy)
    silenced = silences(c, now)
    _mute(episodes, silenced)
    _count_swallowed(episodes, newest_notices, policy)
    notices, waits = _plan(episodes, newest_notices, policy)
    waits += _unmuting(episodes, silenced, policy)
    write_notices(c, notices, now=now)
    save(c, changed=episodes.changed())
    return min(waits, default=None)


@dataclass(slots=True)
class _Episodes:
    """The alerts as one observation finds and leaves them."""

    c: sa.Connection
    now: datetime
    alerts: dict[str, Alert]
    before: dict[str, Alert] = field(init=False)
    new: list[Alert] = field(default_factory=list)
    has_events: bool = False

    def __post_init__(self) -> None:
        self.before = dict(self.alerts)

    def update(
        self, kinds: set[str], problems: Mapping[tuple[str, str], Condition], watched: Collection[str] | None = None
    ) -> None:
        """Begins, updates and ends episodes of these kinds; stores what began, and the events."""
        open_alerts = {(alert.kind, alert.subject): alert for alert in self.alerts.values() if alert.is_open}
        episodes = newest_episodes(self.c, problems.keys() - open_alerts.keys())
        new: list[Alert] = []
        events: list[Event] = []
        for key, problem in sorted(problems.items()):
            alert = open_alerts.get(key)
            if alert is None:
                later = opened(problem, episode=episodes.get(key, 0) + 1, now=self.now)
                new.append(later)
                self.before[later.alert_id] = later
                events.append(self._event(later, "opened", ", ".join(sorted(later.causes))))
            else:
                later = seen_again(alert, problem)
                events += [self._event(later, "cause", cause) for cause in sorted(later.causes.keys() - alert.causes)]
                events += [self._event(later, "severity", later.severity)] * (later.severity != alert.severity)
            self.alerts[later.alert_id] = later
        for key, alert in open_alerts.items():
            if alert.kind in kinds and key not in problems and not KINDS[alert.kind].ends_by_hand:
                self.alerts[alert.alert_id] = resolved(alert, now=self.now)
                is_gone = watched is not None and alert.subject not in watched
                events.append(self._event(alert, "resolved", NO_LONGER_WATCHED if is_gone else None))
        self.new += new
        self.has_events = self.has_events or bool(events)
        save(self.c, new=new, events=events)

    def _event(self, alert: Alert, event: str, detail: str | None = None) -> Event:
        return Event(alert.alert_id, event, self.now, detail)

    def changed(self) -> list[Alert]:
        """Alerts that differ from what is stored."""
        return [alert for alert_id, alert in self.alerts.items() if alert != self.before[alert_id]]


def undelivered_signals(
    newest_notices: Mapping[tuple[str, str], Head], now: datetime, window: timedelta
) -> Iterator[Signal]:
    """Yields the connectors that do not take notifications: refused lately, or tried in vain a few times."""
    for (group, provider), head in newest_notices.items():
        is_refused = head.state == "failed" and head.settled_at is not None and now < head.settled_at + 2 * window
        # Without a reason no one answered: whoever sent it died.
        is_stuck = head.state == "pending" and head.reason and head.attempt_count >= _ATTEMPTS_IN_VAIN
        if (is_refused or is_stuck) and not group.startswith(UNDELIVERED):
            cause = head.reason if head.reason and re.fullmatch(r"[a-z][a-z0-9_]{0,63}", head.reason) else None
            yield Signal(UNDELIVERED, provider, "warning", head.created_at, cause)


def _update_flapping(episodes: _Episodes, policy: AlertPolicy) -> None:
    """Flapping is an alert about an alert: it begins, is notified, mutes its target, and ends when that is stable."""
    flapping = [alert for alert in episodes.alerts.values() if alert.is_open and alert.kind == FLAPPING]
    if flapping or episodes.has_events:
        after = episodes.now - policy.flap_window
        changes = changes_since(episodes.c, after, least=policy.flap_changes, flapping=set(map(target, flapping)))
        episodes.update({FLAPPING}, conditions(flapping_signals(changes, flapping, policy)))


def _mute(episodes: _Episodes, silenced: Sequence[Silence]) -> None:
    by_kind: dict[str, list[Alert]] = {}
    for alert in episodes.alerts.values():
        by_kind.setdefault(alert.kind, []).append(alert)
    for alert_id, alert in episodes.alerts.items():
        reason = muted_by(alert, by_kind, silenced, episodes.now)
        if reason != alert.muted_by:
            episodes.alerts[alert_id] = replace(alert, muted_by=reason)


def _count_swallowed(episodes: _Episodes, newest_notices: dict[tuple[str, str], Head], policy: AlertPolicy) -> None:
    """Counts what came while the window of its group was open at any connector."""
    windows: dict[str, list[LastNotice]] = {}
    for (group, _), head in newest_notices.items():
        if head.last_notice and head.last_notice.firing:
            windows.setdefault(group, []).append(head.last_notice)
    fresh = {alert.alert_id for alert in episodes.new}
    for alert_id, alert in episodes.alerts.items():
        new_count = alert.occurrence_count - (0 if alert_id in fresh else episodes.before[alert_id].occurrence_count)
        if new_count > 0 and any(
            episodes.now < last_notice.at + policy.window for last_notice in windows.get(alert.group, ())
        ):
            episodes.alerts[alert_id] = replace(alert, swallowed_count=alert.swallowed_count + new_count)


def _plan(
    episodes: _Episodes, newest_notices: dict[tuple[str, str], Head], policy: AlertPolicy
) -> tuple[list[tuple[dict[str, Any], Notification]], list[datetime]]:
    groups: dict[str, list[Alert]] = {}
    for alert in episodes.alerts.values():
        groups.setdefault(alert.group, []).append(alert)
    written: list[tuple[dict[str, Any], Notification]] = []
    waits: list[datetime] = []
    for group, alerts in sorted(groups.items()):
        planned: dict[str, Planned] = {}
        for provider in policy.connectors:
            answer = _plan_one(alerts, newest_notices.get((group, provider)), policy, episodes.now)
            if isinstance(answer, Planned):
                planned[provider] = answer
            elif answer:
                waits.append(answer)
        written += _written(group, planned, newest_notices, policy, episodes.now)
    return written, waits


def _plan_one(
    alerts: Sequence[Alert], head: Head | None, policy: AlertPolicy, now: datetime
) -> Planned | datetime | None:
    if head and head.state == "pending":
        return None
    if head and head.state == "failed" and head.settled_at and now < head.settled_at + policy.window:
        return head.settled_at + policy.window
    last_notice = head.last_notice if head else None
    mentionable = [
        alert
        for alert in alerts
        if alert.is_open
        or (last_notice and (alert.opened_at >= last_notice.began_at or alert.subject in last_notice.firing))
    ]
    return plan(mentionable, last_notice, policy, now)


def _unmuting(episodes: _Episodes, silenced: Sequence[Silence], policy: AlertPolicy) -> Iterator[datetime]:
    """Instants at which an alert may no longer be muted although nothing new was seen."""
    yield from (silence.ends_at for silence in silenced)
    for alert in episodes.alerts.values():
        if alert.is_open and alert.kind == FLAPPING:
            yield episodes.now + policy.flap_window / 10
        is_explained = alert.is_open and alert.muted_by in KINDS and alert.kind != FLAPPING
        if is_explained and episodes.now < alert.opened_at + EXPLANATION_WAIT:
            yield alert.opened_at + EXPLANATION_WAIT


def _written(
    group: str,
    planned: dict[str, Planned],
    newest_notices: dict[tuple[str, str], Head],
    policy: AlertPolicy,
    now: datetime,
) -> Iterator[tuple[dict[str, Any], Notification]]:
    """Yields the notifications of one group with their rows of the outbox: one for each connector, all of one plan."""
    plan_id = f"alert-plan-{digest_of(group, now.isoformat())[:24]}"
    suppressed = [provider for provider in policy.connectors if provider not in planned]
    for provider, planned_notice in planned.items():
        head = newest_notices.get((group, provider))
        number = head.notice_number + 1 if head else 1
        ids = [alert.alert_id for alert in planned_notice.mentioned]
        notice_id = f"cavra_alert_{digest_of(group, provider, number, planned_notice.notice.value, *sorted(ids))[:32]}"
        message = notification(planned_notice, notice_id, now)
        row = {
            "notice_id": notice_id,
            "plan_id": plan_id,
            "provider": provider,
            "group_name": group,
            "notice_number": number,
            "notice": planned_notice.notice.value,
            "alert_level": "healthy" if message.severity == "info" else message.severity,
            "lane": alert_lane(planned_notice.mentioned[0]),
            "suppressed_providers": suppressed,
            "told": planned_notice.last_notice.stored(),
            "alert_ids": ids,
            "health_id": message.facts.get("evidence_health_id"),
            "is_recorded": False,
            "created_at": now,
        }
        yield row, message


def alert_lane(alert: Alert) -> str:
    """Returns the lane of the alert's records: that of the ladder it names, else the first."""
    named = alert.evidence.get("lane")
    return next((lane.name for lane in _ALERT_LANES if named in (lane.name, lane.alerts_of)), _ALERT_LANES[0].name)
