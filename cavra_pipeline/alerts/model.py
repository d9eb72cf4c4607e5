"""An alert as the life cycle keeps it, and how observations change it. No statement runs here and no clock is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from cavra_pipeline.alerts.kinds import KINDS, UNKNOWN_CAUSES
from cavra_pipeline.alerts.signals import SEVERITIES, Severity, Signal
from cavra_pipeline.documents import digest_of

#: What a count without a cause is counted under.
NO_CAUSE = "unknown_cause"


class AlertState(StrEnum):
    """Where an episode stands."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Condition:
    """All signals of one kind and subject in one observation."""

    kind: str
    subject: str
    severity: Severity
    since: datetime
    cause: str | None
    causes: Mapping[str, int]
    count: int
    evidence: Mapping[str, str | int]


def conditions(signals: Iterable[Signal]) -> dict[tuple[str, str], Condition]:
    """Returns what is wrong by kind and subject; counts of one kind and subject add up, cause by cause."""
    signals_by_key: dict[tuple[str, str], list[Signal]] = {}
    for signal in signals:
        signals_by_key.setdefault((signal.kind, signal.subject), []).append(signal)
    return {key: _condition(*key, same) for key, same in signals_by_key.items()}


def _condition(kind: str, subject: str, signals: list[Signal]) -> Condition:
    causes: dict[str, int] = {}
    evidence: dict[str, str | int] = {}
    for signal in signals:
        cause = signal.cause or NO_CAUSE
        causes[cause] = causes.get(cause, 0) + signal.count
        evidence.update(signal.evidence)
    named = {cause: count for cause, count in causes.items() if cause not in UNKNOWN_CAUSES}
    return Condition(
        kind=kind,
        subject=subject,
        severity=worst(signal.severity for signal in signals),
        since=min(signal.since for signal in signals),
        cause=min(named, key=lambda cause: (-named[cause], cause)) if named else None,
        causes=causes,
        count=sum(causes.values()),
        evidence=evidence,
    )


def worst(severities: Iterable[Severity]) -> Severity:
    """Returns the gravest of the severities."""
    return max(severities, key=SEVERITIES.index)


@dataclass(frozen=True, slots=True)
class Alert:
    """One episode of one alert.

    Attributes:
        alert_id: Digest of kind, subject, episode and when it was opened.
        kind: What is wrong.
        subject: With what.
        episode: Counts the episodes of this kind and subject, from 1.
        severity: The gravest it has been.
        state: Where it stands.
        since: Since when it is wrong, as the sensors say.
        opened_at: When the life cycle first heard of it.
        cause: Its cause in the latest observation; None if not known.
        causes: How often each cause was seen.
        occurrence_count: The most that one observation has counted.
        evidence: Ids and counts of the latest observation.
        swallowed_count: How many of its occurrences came while its group's suppression window was open.
        acknowledged_at: When somebody acknowledged it.
        acknowledged_by: Who.
        resolved_at: When it was over.
        last_notified_at: When a connector last accepted a notification of it.
        muted_by: Why no notification is sent: a kind that explains it, ``flapping``, or a silence.
    """

    alert_id: str
    kind: str
    subject: str
    episode: int
    severity: Severity
    state: AlertState
    since: datetime
    opened_at: datetime
    cause: str | None
    causes: Mapping[str, int]
    occurrence_count: int
    evidence: Mapping[str, str | int] = field(default_factory=dict)
    swallowed_count: int = 0
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    last_notified_at: datetime | None = None
    muted_by: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.state is not AlertState.RESOLVED

    @property
    def group(self) -> str:
        """What its notifications are grouped by: its kind, or its kind and subject."""
        return self.kind if KINDS[self.kind].is_notified_together else f"{self.kind} {self.subject}"


def opened(problem: Condition, *, episode: int, now: datetime) -> Alert:
    """Begins an episode."""
    return Alert(
        alert_id=f"alert-{digest_of(problem.kind, problem.subject, episode, now.isoformat())[:24]}",
        kind=problem.kind,
        subject=problem.subject,
        episode=episode,
        severity=problem.severity,
        state=AlertState.FIRING,
        since=problem.since,
        opened_at=now,
        cause=problem.cause,
        causes=dict(problem.causes),
        occurrence_count=problem.count,
        evidence=dict(problem.evidence),
    )


def seen_again(alert: Alert, problem: Condition) -> Alert:
    """Brings an open episode up to date with a later observation.

    No cause that was ever seen is lost, but for the unknown one: a later observation may have found what it was.
    """
    named = {cause: count for cause, count in alert.causes.items() if cause not in UNKNOWN_CAUSES}
    causes = {
        cause: max(named.get(cause, 0), problem.causes.get(cause, 0))
        for cause in (*named, *(new_cause for new_cause in problem.causes if new_cause not in named))
    }
    return replace(
        alert,
        severity=worst((alert.severity, problem.severity)),
        since=min(alert.since, problem.since),
        cause=problem.cause,
        causes=causes,
        occurrence_count=max(alert.occurrence_count, problem.count),
        evidence=dict(problem.evidence),
    )


def resolved(alert: Alert, *, now: datetime) -> Alert:
    """Ends an episode, and with it its acknowledgement."""
    return replace(alert, state=AlertState.RESOLVED, resolved_at=max(now, alert.opened_at))
