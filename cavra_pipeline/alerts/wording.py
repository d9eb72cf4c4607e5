"""Texts of notifications, from words and numbers of the alerts only; `planning.py` decides whether one is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from cavra_pipeline.alerts.kinds import KINDS, PROVIDER_INCIDENT, AlertKind
from cavra_pipeline.alerts.model import Alert, AlertState, worst
from cavra_pipeline.alerts.planning import Notice, Planned
from cavra_pipeline.connectors import Notification
from cavra_pipeline.documents import instant, whole_minutes
from cavra_pipeline.durations import short_duration
from cavra_pipeline.executive.words import fix_words
from cavra_pipeline.provider_names import provider_title
from cavra_pipeline.reports.cause_words import CAUSE_WORDS

_MOST_NAMED: Final = 5
_SECONDS: Final = re.compile(r"T(\d\d:\d\d):\d\d\S*")
_MOST_EVIDENCE: Final = 12


def subject_text(subject: str) -> str:
    """Returns the subject of an alert or a silence with its instant, if it has one, to the minute."""
    return _SECONDS.sub(r" \1 UTC", subject)


def action_of(alert: Alert) -> str | None:
    """Returns what a person should do next: about a broken provider the step of its cause. None: an unknown kind."""
    if fault := _fault_of(alert):
        cause, provider = fault
        return f"{fix_words(cause, provider)}. {CAUSE_WORDS[cause].retries}".rstrip()
    kind = KINDS.get(alert.kind)
    return kind.action if kind else None


def _fault_of(alert: Alert) -> tuple[str, str] | None:
    """The cause and the provider of a provider incident; None for other alerts, and where either is not known."""
    cause, provider = alert.cause or "", alert.evidence.get("provider")
    is_known = alert.kind == PROVIDER_INCIDENT and cause in CAUSE_WORDS and provider
    return (cause, str(provider)) if is_known else None


def notification(planned: Planned, notice_id: str, now: datetime) -> Notification:
    """Returns the notification as it is sent."""
    mentioned = planned.mentioned
    kind = KINDS[mentioned[0].kind]
    is_over = planned.notice is Notice.RESOLVED
    ended_at = max((alert.resolved_at for alert in planned.over if alert.resolved_at), default=now)
    return Notification(
        idempotency_id=notice_id,
        event_type=f"cavra.alert.{planned.notice.value}",
        title=_title(planned, kind),
        summary=_summary(planned, kind, ended_at, now),
        severity="info" if is_over else worst(alert.severity for alert in planned.firing or mentioned),
        subject=mentioned[0].group,
        occurred_at=ended_at if is_over else min(alert.since for alert in mentioned),
        facts=_facts(planned, kind, ended_at if is_over else now),
    )


def _title(planned: Planned, kind: AlertKind) -> str:
    mentioned = planned.mentioned
    is_one = len(mentioned) == 1 or not kind.is_notified_together
    about = subject_text(mentioned[0].subject) if is_one else f"{len(mentioned)} alerts"
    what = f"{kind.title}: {about}"
    if fault := _fault_of(mentioned[0]):
        cause, provider = fault
        what = f"{provider_title(provider)} {CAUSE_WORDS[cause].what}{about.removeprefix(provider)}"
    level = worst(alert.severity for alert in mentioned)
    start = {
        Notice.FIRING: f"CAVRA {level}",
        Notice.MORE: f"CAVRA {level}, update",
        Notice.REMINDER: f"CAVRA {level}, reminder",
        Notice.RESOLVED: "CAVRA resolved",
    }[planned.notice]
    return f"{start}: {what} ({_count(mentioned)})"


def _summary(planned: Planned, kind: AlertKind, ended_at: datetime, now: datetime) -> str:
    mentioned = planned.mentioned
    since = min(alert.since for alert in mentioned)
    lines = []
    if planned.notice is Notice.RESOLVED:
        lines.append(f"Resolved after {_duration(since, ended_at)}.")
        if kind.counts_missed_runs:
            lines.append(f"Scheduled runs missed: {_count(mentioned)}.")
    else:
        lines.append(f"Since {since:%Y-%m-%d %H:%M} UTC, {_duration(since, now)} ago.")
    causes = causes_of(mentioned)
    lines.append(f"Causes: {_listed(causes)}.")
    if planned.swallowed_count:
        lines.append(f"{planned.swallowed_count} more came since the last notification.")
    if planned.over and planned.notice is not Notice.RESOLVED:
        lines.append(f"{len(planned.over)} of {len(mentioned)} alerts are resolved, {len(planned.firing)} are open.")
    if planned.notice is not Notice.RESOLVED:
        lines.append(f"What to do: {action_of(planned.firing[0])}")
    return "\n".join(lines)


def _facts(planned: Planned, kind: AlertKind, until: datetime) -> dict[str, str | int | None]:
    mentioned = planned.mentioned
    since = min(alert.since for alert in mentioned)
    causes = causes_of(mentioned)
    facts: dict[str, str | int | None] = {
        "notice": planned.notice.value,
        "kind": kind.name,
        "subjects": _shown([alert.subject for alert in mentioned]),
        "open_alert_count": len(planned.firing),
        "over_alert_count": len(planned.over),
        "acknowledged_alert_count": sum(alert.state is AlertState.ACKNOWLEDGED for alert in planned.firing),
        "count": _count(mentioned),
        "causes": _listed(causes),
        "cause_count": len(causes),
        "swallowed_count": planned.swallowed_count,
        "since": instant(since),
        "duration_minutes": whole_minutes(max(until - since, since - since)),
        "alert_ids": _shown([alert.alert_id for alert in mentioned]),
    }
    if kind.counts_missed_runs:
        facts["missed_run_count"] = _count(mentioned)
    if planned.notice is Notice.RESOLVED:
        facts["resolved_at"] = instant(until)
    if len(mentioned) == 1:
        facts |= {f"evidence_{name}": value for name, value in sorted(mentioned[0].evidence.items())[:_MOST_EVIDENCE]}
    return facts


def causes_of(alerts: Sequence[Alert]) -> dict[str, int]:
    """Returns how often each cause was seen over all the alerts, the commonest first."""
    total: dict[str, int] = {}
    for alert in alerts:
        for cause, count in alert.causes.items():
            total[cause] = total.get(cause, 0) + count
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def _listed(causes: Mapping[str, int]) -> str:
    return ", ".join(f"{cause} {count}" for cause, count in causes.items())


def _count(alerts: Sequence[Alert]) -> int:
    return sum(alert.occurrence_count for alert in alerts)


def _shown(names: Sequence[str]) -> str:
    names = sorted(set(names))
    more = f", and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _duration(start: datetime, end: datetime) -> str:
    minutes = whole_minutes(max(end - start, start - start))
    return short_duration(minutes) if minutes else "under a minute"
