"""One look of a sensor becomes episodes that begin, change and end, and notices in the outbox: one transaction.

Nothing is sent here; what is to be sent is in the same transaction as what it tells of.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from cavra_pipeline.alerts.kinds import FLAPPING, KINDS, UNDELIVERED
from cavra_pipeline.alerts.model import Alert, Problem, opened, problems, resolved, seen_again
from cavra_pipeline.alerts.muting import EXPLANATION_WAIT, Silence, flapping_signals, muted_by
from cavra_pipeline.alerts.outbox import write_notice_intents
from cavra_pipeline.alerts.planning import Planned, Times, Told, plan
from cavra_pipeline.alerts.policy import DEFAULT_POLICY, AlertPolicy
from cavra_pipeline.alerts.signals import Signal
from cavra_pipeline.alerts.store import (
    Event,
    Head,
    Written,
    changes_since,
    heads,
    newest_episodes,
    save,
    silences,
    standing_alerts,
    write_notices,
)
from cavra_pipeline.alerts.wording import document
from cavra_pipeline.lanes import LANES
from cavra_pipeline.warehouse import Session

_ALERT_LANES: Final = tuple(lane for lane in LANES.values() if lane.kind_stem.endswith("-alert"))


#: From so many attempts on a notice is taken to be stuck.
_TRIES_IN_VAIN: Final = 3


@dataclass(frozen=True, slots=True)
class Observed:
    """What one look changed.

    Attributes:
        opened: Episodes that began.
        resolved: Episodes that ended.
        standing: Every alert that is open now.
        notices: Ids of the notices that were put into the outbox.
        due_at: When something would be due if nothing changes; None if nothing is waiting.
    """

    opened: Sequence[Alert]
    resolved: Sequence[Alert]
    standing: Sequence[Alert]
    notices: Sequence[str]
    due_at: datetime | None


def observe(
    session: Session,
    kinds: Collection[str],
    signals: Iterable[Signal],
    *,
    now: datetime,
    policy: AlertPolicy = DEFAULT_POLICY,
) -> Observed:
    """Takes in one look inside the open transaction.

    Args:
        session: The warehouse, open for writing.
        kinds: The kinds that were fully evaluated.
        signals: Everything of those kinds that is wrong now.
        now: When this is.
        policy: How alerts are told.

    Raises:
        ValueError: A signal is of another kind than ``kinds``, or a kind is not declared.
    """
    found = problems(signals)
    strange = {*kinds, *(kind for kind, _ in found)} - KINDS.keys()
    if strange or not {kind for kind, _ in found} <= set(kinds):
        raise ValueError("signals: give only declared kinds, and only those that were evaluated")
    known = heads(session, policy.connectors)
    spells = [head.told.began_at for head in known.values() if head.told and head.told.firing]
    look = _Look(now, {one.alert_id: one for one in standing_alerts(session, min(spells, default=None))})
    look.take_in(set(kinds), found, newest_episodes(session, _unknown(look, found)))
    refused = problems(undelivered_signals(known, now, timedelta(minutes=policy.window_minutes)))
    look.take_in({UNDELIVERED}, refused, newest_episodes(session, _unknown(look, refused)))
    save(session, new=look.new, changed=[], events=look.events)
    _watch_flapping(session, look, policy)
    silenced = silences(session, now)
    _mute(look, silenced)
    _count_swallowed(look, known, policy)
    notices, waits = _plan(look, known, policy)
    waits += _unmuting(look, silenced, policy)
    write_notices(session, notices, now=now)
    write_notice_intents(session, notices, now=now)
    save(session, new=[], changed=look.changed(), events=[])
    return Observed(
        opened=look.new,
        resolved=look.ended,
        standing=[one for one in look.alerts.values() if one.is_open],
        notices=[one.notice_id for one in notices],
        due_at=min(waits, default=None),
    )


@dataclass(slots=True)
class _Look:
    """The alerts as one look finds and leaves them."""

    now: datetime
    alerts: dict[str, Alert]
    before: dict[str, Alert] = field(init=False)
    new: list[Alert] = field(default_factory=list)
    ended: list[Alert] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.before = dict(self.alerts)

    def open_by_key(self) -> dict[tuple[str, str], Alert]:
        return {(one.kind, one.subject): one for one in self.alerts.values() if one.is_open}

    def take_in(
        self, kinds: set[str], found: dict[tuple[str, str], Problem], episodes: dict[tuple[str, str], int]
    ) -> None:
        """Begins, updates and ends episodes of these kinds."""
        standing = self.open_by_key()
        for key, problem in sorted(found.items()):
            alert = standing.get(key)
            if alert is None:
                made = opened(problem, episode=episodes.get(key, 0) + 1, now=self.now)
                self.new.append(made)
                self.alerts[made.alert_id] = self.before[made.alert_id] = made
                self._note(made, "opened", ", ".join(sorted(made.causes)))
            else:
                self._update(alert, seen_again(alert, problem))
        for key, alert in standing.items():
            if alert.kind in kinds and key not in found and not KINDS[alert.kind].ends_by_hand:
                ended = resolved(alert, now=self.now)
                self.alerts[alert.alert_id] = ended
                self.ended.append(ended)
                self._note(ended, "resolved", None)

    def _update(self, alert: Alert, later: Alert) -> None:
        self.alerts[alert.alert_id] = later
        for cause in sorted(later.causes.keys() - alert.causes.keys()):
            self._note(later, "cause", cause)
        if later.severity != alert.severity:
            self._note(later, "severity", later.severity)

    def _note(self, alert: Alert, event: str, detail: str | None) -> None:
        self.events.append(Event(alert.alert_id, event, self.now, detail))

    def changed(self) -> list[Alert]:
        """Alerts that differ from what the warehouse holds."""
        return [one for alert_id, one in self.alerts.items() if one != self.before[alert_id]]


def undelivered_signals(known: Mapping[tuple[str, str], Head], now: datetime, window: timedelta) -> Iterator[Signal]:
    """Yields the connectors that do not take notices: refused lately, or tried in vain a few times."""
    for (group, provider), head in known.items():
        is_refused = head.state == "failed" and head.settled_at is not None and now < head.settled_at + 2 * window
        # Without a reason nobody answered: whoever sent it died.
        is_stuck = head.state == "pending" and head.reason and head.attempt_count >= _TRIES_IN_VAIN
        if (is_refused or is_stuck) and not group.startswith(UNDELIVERED):
            cause = head.reason if head.reason and re.fullmatch(r"[a-z][a-z0-9_]{0,63}", head.reason) else None
            yield Signal(UNDELIVERED, provider, "warning", head.created_at, cause)


def _unknown(look: _Look, found: dict[tuple[str, str], Problem]) -> list[tuple[str, str]]:
    return sorted(found.keys() - look.open_by_key().keys())


def _watch_flapping(session: Session, look: _Look, policy: AlertPolicy) -> None:
    """Flapping is an alert about an alert: it begins, is told, mutes its target, and ends when that is stable."""
    flapping = [one for one in look.alerts.values() if one.is_open and one.kind == FLAPPING]
    if not flapping and not look.events:
        return
    changes = changes_since(
        session,
        look.now - policy.flap_window,
        least=policy.flap_changes,
        flapping=[f"{one.evidence['alert_kind']} {one.evidence['alert_subject']}" for one in flapping],
    )
    found = problems(flapping_signals(changes, flapping, policy))
    count = len(look.new), len(look.events)
    look.take_in({FLAPPING}, found, newest_episodes(session, _unknown(look, found)))
    save(session, new=look.new[count[0] :], changed=[], events=look.events[count[1] :])


def _mute(look: _Look, silenced: Sequence[Silence]) -> None:
    by_kind: dict[str, list[Alert]] = {}
    for alert in look.alerts.values():
        by_kind.setdefault(alert.kind, []).append(alert)
    for alert_id, alert in look.alerts.items():
        reason = muted_by(alert, by_kind, silenced, look.now)
        if reason != alert.muted_by:
            look.alerts[alert_id] = replace(alert, muted_by=reason)


def _times(kind: str, policy: AlertPolicy) -> Times:
    minutes = KINDS[kind].window_minutes
    window = timedelta(minutes=policy.window_minutes if minutes is None else minutes)
    return Times(policy.group_wait, window, policy.repeat)


def _count_swallowed(look: _Look, known: dict[tuple[str, str], Head], policy: AlertPolicy) -> None:
    """Counts what came while the window of its group was open at any connector."""
    windows: dict[str, list[Told]] = {}
    for (group, _), head in known.items():
        if head.told and head.told.firing:
            windows.setdefault(group, []).append(head.told)
    fresh = {one.alert_id for one in look.new}
    for alert_id, alert in look.alerts.items():
        came = alert.count - (0 if alert_id in fresh else look.before[alert_id].count)
        window = _times(alert.kind, policy).window
        if came > 0 and any(look.now < told.at + window for told in windows.get(alert.group, ())):
            look.alerts[alert_id] = replace(alert, swallowed_count=alert.swallowed_count + came)


def _plan(look: _Look, known: dict[tuple[str, str], Head], policy: AlertPolicy) -> tuple[list[Written], list[datetime]]:
    groups: dict[str, list[Alert]] = {}
    for alert in look.alerts.values():
        groups.setdefault(alert.group, []).append(alert)
    written: list[Written] = []
    waits: list[datetime] = []
    for group, alerts in sorted(groups.items()):
        planned: dict[str, Planned] = {}
        for provider in policy.connectors:
            answer = _plan_one(alerts, known.get((group, provider)), policy, look.now)
            if isinstance(answer, Planned):
                planned[provider] = answer
            elif answer:
                waits.append(answer)
        written += _written(group, planned, known, policy, look.now)
    return written, waits


def _plan_one(
    alerts: Sequence[Alert], head: Head | None, policy: AlertPolicy, now: datetime
) -> Planned | datetime | None:
    times = _times(alerts[0].kind, policy)
    if head and head.state == "pending":
        return None
    if head and head.state == "failed" and head.settled_at and now < head.settled_at + times.window:
        return head.settled_at + times.window
    told = head.told if head else None
    mentionable = [
        one
        for one in alerts
        if one.is_open or (told and (one.opened_at >= told.began_at or one.subject in told.firing))
    ]
    return plan(mentionable, told, times, now)


def _unmuting(look: _Look, silenced: Sequence[Silence], policy: AlertPolicy) -> Iterator[datetime]:
    """Instants at which an alert may no longer be muted although nothing new was seen."""
    yield from (silence.ends_at for silence in silenced)
    for alert in look.alerts.values():
        if alert.is_open and alert.kind == FLAPPING:
            yield look.now + policy.flap_window / 10
        is_explained = alert.is_open and alert.muted_by in KINDS and alert.kind != FLAPPING
        if is_explained and look.now < alert.opened_at + EXPLANATION_WAIT:
            yield alert.opened_at + EXPLANATION_WAIT


def _written(
    group: str,
    planned: dict[str, Planned],
    known: dict[tuple[str, str], Head],
    policy: AlertPolicy,
    now: datetime,
) -> Iterable[Written]:
    """The notices of one group: each connector has its own, all of one plan."""
    plan_id = f"alert-plan-{_digest(group, now.isoformat())[:24]}"
    suppressed = [provider for provider in policy.connectors if provider not in planned]
    for provider, one in planned.items():
        head = known.get((group, provider))
        number = head.notice_number + 1 if head else 1
        mentioned = (*one.firing, *one.over)
        ids = [alert.alert_id for alert in mentioned]
        content = document(one, now)
        level = "healthy" if content["severity"] == "info" else content["severity"]
        yield Written(
            notice_id=f"cavra_alert_{_digest(group, provider, number, one.notice.value, *sorted(ids))[:32]}",
            plan_id=plan_id,
            provider=provider,
            notice_number=number,
            planned=one,
            lane=alert_lane(mentioned[0]),
            suppressed_providers=suppressed,
            document={**content, "alert_level": level, "alert_ids": ids},
        )


def alert_lane(alert: Alert) -> str:
    """Returns the lane whose records tell of the alert: of the ladder it names, else the first."""
    named = LANES.get(str(alert.evidence.get("lane", "")))
    stems = (named.kind_stem, f"{named.health_kind}-alert") if named else ()
    return next((lane.name for lane in _ALERT_LANES if lane.kind_stem in stems), _ALERT_LANES[0].name)


def _digest(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
